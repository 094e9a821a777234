"""Logging of all processes: one line for each event, with a stable name first, then its fields."""

import logging.config
import sys
import threading
from types import TracebackType
from typing import Any

from service.escaping import escape

#: Before each further line of a record, so that no line of a traceback looks like a record.
_INDENT = "\n    "


class LineFormatter(logging.Formatter):
    """Escapes text from outside: a message is one line, and a traceback is indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        # Only the formatted text is escaped, not the record: other handlers format it their own way.
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        elif record.exc_text:
            lines += record.exc_text.split("\n")
        if record.stack_info:
            lines += self.formatStack(record.stack_info).split("\n")
        return _INDENT.join(map(escape, lines))


def configure(level: str = "INFO") -> None:
    """Log to standard error."""
    logging.config.dictConfig(configuration(level))


def configuration(level: str) -> dict[str, Any]:
    """The same as a dictionary for `logging.config`, which uvicorn passes to its processes."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": LineFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # httpx logs whole URLs, and a callback URL is a password.
            "httpx": {"level": "WARNING"},
            "rq": {"level": "WARNING"},
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
