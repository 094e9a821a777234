"""Lets a call of the MCP server pass only with the token with which the server itself calls the receiver."""

import hmac

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BearerGuard:
    """An ASGI application in front of another."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_authorized(scope):
            headers = {"WWW-Authenticate": 'Bearer realm="hitl-receiver"'}
            message = "Send HITL_RECEIVER_TOKEN of this server as Authorization: Bearer TOKEN.\n"
            await PlainTextResponse(message, 401, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)
