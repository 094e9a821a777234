"""How the processes log: one line an event, a stable name first, then its fields."""

import logging
import sys


def configure(level: str = "INFO") -> None:
    """To standard error. Never bodies, signatures, tokens or e-mail addresses."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    # httpx logs whole URLs, and a callback URL is its own password.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("rq").setLevel(logging.WARNING)
