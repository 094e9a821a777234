"""Uvicorn that ends open pages and long polls before it waits for connections to close."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette


class SandboxServer(uvicorn.Server):
    """Serves a sandbox; calls `on_start` when it listens."""

    def __init__(
        self,
        app: Starlette,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._app = app
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_start is not None:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.parts.state.changes.close()
        await super().shutdown(sockets)
