"""Uvicorn, told to let go of open pages and long polls before it waits for connections to end."""

import socket

import uvicorn
from starlette.applications import Starlette


class SandboxServer(uvicorn.Server):
    def __init__(self, app: Starlette, *, host: str = "127.0.0.1", port: int = 0) -> None:
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.house.world.changes.close()
        await super().shutdown(sockets)
