"""Runs the web process under uvicorn."""

import uvicorn

from workers.loading import load_router
from workers.settings import Settings


def run(settings: Settings, *, host: str, port: int, processes: int) -> None:
    """Serve until stopped. Mistakes in settings and handlers are met here, before any process starts."""
    if settings.handlers is not None:
        load_router(settings.handlers)
    uvicorn.run(
        "service.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=processes if processes > 1 else None,
        http="httptools",
        # A callback URL's token is its password, and an access log would keep it.
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        # We never look at the client's address, so nobody can forge one.
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )
