"""The processing of an API call: key, rate limit, faults, handler, envelope, log."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hitl_sandbox.api.keys import identify
from hitl_sandbox.application import SandboxParts
from hitl_sandbox.errors import Refusal
from hitl_sandbox.faults import Fault
from hitl_sandbox.json_text import encode
from hitl_sandbox.model.ids import is_object_id
from hitl_sandbox.model.rate_limiter import TopLevelRateLimit
from hitl_sandbox.model.records import ApiKey

UNAVAILABLE = "Service temporarily unavailable"
GATEWAY_PAGE = b"<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>\n"


class ApiReply(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a handler; `msg` is None for uploads, whose replies have none."""

    msg: str | None
    data: Any
    status: int = 200


class ApiCall:
    """An authenticated call: the argument of every handler."""

    def __init__(self, request: Request, parts: SandboxParts, key: ApiKey) -> None:
        self.request = request
        self.parts = parts
        self.key = key
        self.settings = parts.state.settings

    @property
    def origin(self) -> str:
        """The address under which the caller reached the sandbox; ends in a slash."""
        return str(self.request.base_url)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def object_id(self, name: str, noun: str) -> str:
        """A path parameter that must be an object id."""
        value = self.path(name)
        if not is_object_id(value):
            raise Refusal(400, f"Invalid {noun} ID format")
        return value.lower()

    async def json(self) -> Any:
        try:
            return msgspec.json.decode(await self.request.body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refusal(400, "Invalid request body") from None

    async def body(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        body = await self.json()
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid request body")
        return body


ApiHandler = Callable[[ApiCall], Awaitable[ApiReply]]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(handler: ApiHandler) -> Endpoint:
    """Make a route endpoint of a handler. It checks the key, then the rate limit; the handler checks the rest."""

    async def serve(request: Request) -> Response:
        parts: SandboxParts = request.app.state.parts
        try:
            key = identify(request.headers.get("authorization"), parts.state)
        except Refusal as refusal:
            response = error_response(refusal)
            response.headers.update(parts.rate_limiter.headers(None))
            return _log(request, parts, None, response, None)
        subject = {"method": request.method, "path": request.url.path, "key_id": key.id}
        fault = _take_fault(parts, subject)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await _handle(handler, ApiCall(request, parts, key), fault)
        response.headers.update(parts.rate_limiter.headers(key))
        if response.status_code == 405:
            response.headers["Allow"] = allow_header(request)
        if fault is not None and fault.kind == "rate_limit":
            response.headers["X-RateLimit-Remaining"] = "0"
        return _log(request, parts, key, response, fault)

    return serve


def _take_fault(parts: SandboxParts, subject: dict[str, str]) -> Fault | None:
    """The first API fault armed for this call, except ``drift``, which the request list takes."""
    for kind in ("slow", "error", "rate_limit", "truncated_json", "wrong_content_type"):
        if (fault := parts.state.faults.take(kind, subject)) is not None:
            return fault
    return None


async def _handle(handler: ApiHandler, call: ApiCall, fault: Fault | None) -> Response:
    try:
        call.parts.rate_limiter.spend(call.key)
        if fault is not None and fault.kind == "rate_limit":
            raise call.parts.rate_limiter.refusal(call.key)
        if fault is not None and fault.kind == "error" and fault.stage == "before":
            raise _server_error(fault.status)
        reply = await handler(call)
        if fault is not None and fault.kind == "error":
            raise _server_error(fault.status)
    except Refusal as refusal:
        return error_response(refusal)
    except ClientDisconnect:
        return Response(status_code=400)
    return _corrupt(success_response(reply), fault)


def _server_error(status: int) -> Refusal:
    return Refusal(status, "Internal server error" if status == 500 else UNAVAILABLE)


def _corrupt(response: Response, fault: Fault | None) -> Response:
    if fault is not None and fault.kind == "truncated_json":
        half = bytes(response.body)[: len(response.body) // 2]
        return Response(half, response.status_code, media_type="application/json")
    if fault is not None and fault.kind == "wrong_content_type":
        return Response(GATEWAY_PAGE, response.status_code, media_type="text/html")
    return response


def success_response(reply: ApiReply) -> Response:
    envelope = {"error": False, "msg": reply.msg, "data": reply.data}
    if reply.msg is None:
        del envelope["msg"]
    return json_response(envelope, reply.status)


def allow_header(request: Request) -> str:
    """The methods that the called path serves, without the one that was refused."""
    methods: set[str] = request.app.state.methods_of(request.scope["path"])
    return ", ".join(sorted(methods - {request.method}))


def error_response(refusal: Refusal) -> Response:
    envelope: dict[str, Any] = {"error": True, "msg": refusal.msg}
    if refusal.data is not None:
        envelope["data"] = refusal.data
    if isinstance(refusal, TopLevelRateLimit):
        envelope |= refusal.fields
    return json_response(envelope, refusal.status)


def json_response(content: Any, status: int = 200) -> Response:
    return Response(encode(content), status, media_type="application/json")


def _log(
    request: Request, parts: SandboxParts, key: ApiKey | None, response: Response, fault: Fault | None
) -> Response:
    parts.state.store.log_call(
        at=parts.state.now(),
        key_id=None if key is None else key.id,
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        status=response.status_code,
        fault=None if fault is None else fault.kind,
    )
    return response
