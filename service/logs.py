"""How the processes log: one line an event, a stable name first, then its fields."""

import logging.config
import sys
import threading
from types import TracebackType
from typing import Any

from service.escaping import escape

#: Before each further line of a record: no line of a traceback reads like a record of its own.
_INDENT = "\n    "


class LineFormatter(logging.Formatter):
    """Escapes what comes from outside: a message is one line, and a traceback is indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        # Escaped here and not kept in the record: its other handlers format it as they like.
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        elif record.exc_text:
            lines += record.exc_text.split("\n")
        if record.stack_info:
            lines += self.formatStack(record.stack_info).split("\n")
        return _INDENT.join(map(escape, lines))


def configure(level: str = "INFO") -> None:
    """To standard error. Never bodies, signatures, tokens or e-mail addresses."""
    logging.config.dictConfig(configuration(level))


def configuration(level: str) -> dict[str, Any]:
    """The same for `logging.config`, for a program that starts processes of its own, as uvicorn does."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": LineFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # httpx logs whole URLs, and a callback URL is its own password.
            "httpx": {"level": "WARNING"},
            "rq": {"level": "WARNING"},
        },
    }


def log_uncaught() -> None:
    """Log warnings and errors that nobody catches, instead of having Python print them as they are."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("hitl").critical("process.failed", exc_info=(kind, error or kind(), trace))


def level() -> str:
    """The level that `configure` set."""
    return logging.getLevelName(logging.getLogger().level)
