"""Common part of all endpoints of the HTTP API: authentication, methods, and answers to errors."""

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from redis.exceptions import RedisError
from starlette.types import Message, Receive, Scope, Send

from hitlsh.api.errors import ApiError
from hitlsh.asking.ask_errors import AskError
from service.web.body_reader import ClientDisconnected, RequestRefused
from service.web.requests import problems
from service.web.requests.problems import RequestProblem
from service.web.requests.replies import reply_with_problem
from service.web.requests.token_access import TokenAccess
from workers import access_tokens
from workers.access_tokens import AccessToken

logger = logging.getLogger("hitl.receiver")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated and admitted call."""

    token: AccessToken
    scope: Scope
    receive: Receive
    send: Send


Handler = Callable[[Call], Awaitable[None]]


class ApiEndpoint:
    """One path with its methods, as an ASGI application."""

    def __init__(self, access: TokenAccess, methods: Mapping[str, tuple[access_tokens.Scope, Handler]]) -> None:
        """`methods`: by HTTP method, the scope that the token needs and the handler."""
        self._access = access
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracked = _TrackedSend(send)
        try:
            await self._handle(scope, receive, tracked)
        except ClientDisconnected:
            return
        except Exception as error:
            problem = _problem_for(error)
            if problem.problem.status == 500:
                logger.exception("request.failed method=%s path=%s", scope["method"], scope["path"])
            if tracked.has_started:
                raise
            await reply_with_problem(problem).send(send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = self._access.authenticate(scope)
        method = scope["method"]
        if method not in self._methods:
            raise problems.method_not_allowed(method, list(self._methods))
        needed_scope, handler = self._methods[method]
        self._access.admit(token, needed_scope)
        await handler(Call(token=token, scope=scope, receive=receive, send=send))


class _TrackedSend:
    """Records whether a reply has begun: then no other reply can be sent."""

    __slots__ = ("_send", "has_started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        self.has_started = True
        await self._send(message)


def _problem_for(error: Exception) -> RequestProblem:
    match error:
        case RequestProblem():
            return error
        case AskError():
            return problems.of_ask_error(error)
        case ApiError():
            return problems.of_api_error(error)
        case RequestRefused():
            return problems.body_refused(error.status)
        case RedisError() | TimeoutError():
            return problems.unavailable("The inbox is not available now")
    return problems.failed()
