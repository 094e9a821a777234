"""Logging of all processes: one line for each event, with a stable name first, then its fields."""

import logging.config
import sys
import threading
from types import TracebackType
from typing import Any, TextIO

import structlog

from service.log_format import LogFormatter, LogStyle

#: Bytes that a pipe takes at once, so that the lines of several processes do not mix (PIPE_BUF of Linux).
ATOMIC = 4_096
#: Libraries whose DEBUG lines are not about this program.
_CHATTY = ("rq", "redis", "push_response", "httpcore", "asyncio", "urllib3")


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes whole lines, few enough at a time that those of another process cannot come between their parts."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for lines in _batches(self.format(record)):
                self.stream.write(lines)
                self.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as every handler of `logging` does
            self.handleError(record)


def _batches(text: str) -> list[str]:
    if len(text) < ATOMIC:
        return [f"{text}\n"]
    batches = [""]
    for line in text.split("\n"):
        if batches[-1] and len(batches[-1]) + len(line) >= ATOMIC:
            batches.append("")
        batches[-1] += f"{line}\n"
    return batches


def configure(level: str = "INFO", style: LogStyle = "console") -> None:
    """Log to standard error, what comes through structlog too."""
    logging.config.dictConfig(configuration(level, style))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def configuration(level: str, style: LogStyle = "console") -> dict[str, Any]:
    """The same as a dictionary for `logging.config`, which uvicorn passes to its processes."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LogFormatter, "style": style}},
        "handlers": {"stderr": {"()": LineHandler, "formatter": "line"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # httpx logs whole URLs, and a callback URL is a password.
            "httpx": {"level": "WARNING"},
            # What these say with DEBUG is about their own work: each byte, each command, each timer.
            **{
                name: {"level": "WARNING"}
                for name in ("rq", "redis", "push_response", "httpcore", "asyncio", "urllib3", "watchfiles")
            },
        },
    }


def log_uncaught() -> None:
    """Log warnings and uncaught errors, which Python would print without escaping."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("hitl").critical("process.failed", exc_info=(kind, error or kind(), trace))


def level() -> str:
    """The level that `configure` set."""
    return logging.getLevelName(logging.getLogger().level)


def style() -> LogStyle:
    """The style that `configure` set."""
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    return next((one.style_name for one in formatters if isinstance(one, LogFormatter)), "console")
