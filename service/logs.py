"""How the processes log: one line an event, a stable name first, then its fields."""

import logging.config
from typing import Any


def configure(level: str = "INFO") -> None:
    """To standard error. Never bodies, signatures, tokens or e-mail addresses."""
    logging.config.dictConfig(configuration(level))


def configuration(level: str) -> dict[str, Any]:
    """The same for `logging.config`, for a program that starts processes of its own, as uvicorn does."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # httpx logs whole URLs, and a callback URL is its own password.
            "httpx": {"level": "WARNING"},
            "rq": {"level": "WARNING"},
        },
    }


def level() -> str:
    """The level that `configure` set."""
    return logging.getLevelName(logging.getLogger().level)
