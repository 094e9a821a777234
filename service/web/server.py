"""Runs the web process under uvicorn."""

import os
import signal
import sys

import uvicorn

from service import logs
from service.local.checked_redis import check_redis_once
from service.web.http_protocol import GuardedProtocol
from workers.settings import Settings


def run(settings: Settings, *, host: str, port: int, processes: int) -> None:
    """Serve until stopped. Mistakes in settings and handlers are met here, before any process starts."""
    if settings.handlers is not None:
        python_path = list(sys.path)
        from workers.handlers.loading import load_router

        load_router(settings.handlers)
        # Uvicorn hands it to its children, which import modules of ours before they load the handlers themselves.
        sys.path[:] = python_path
    check_redis_once(settings.redis_url)
    if processes > 1:
        # Uvicorn's children must not look for a module in the current folder before they have their Python path.
        os.environ["PYTHONSAFEPATH"] = "1"
    # Uvicorn hands the signal that stopped it on to whoever handled it before: leave with success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    uvicorn.run(
        "service.web.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=processes if processes > 1 else None,
        http=GuardedProtocol,
        # A door for requests only: an upgrade is a request like any other.
        ws="none",
        # A callback URL's token is its password, and an access log would keep it.
        access_log=False,
        # Each process that uvicorn starts configures its logging anew.
        log_config=logs.configuration(logs.level()),
        server_header=False,
        date_header=False,
        # We never look at the client's address, so nobody can forge one.
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )
