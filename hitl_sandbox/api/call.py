"""One API call on its way through the door: key, quota, faults, handler, envelope, log."""

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
from hitl_sandbox.model.quota import TopLevel
from hitl_sandbox.model.records import Key

UNAVAILABLE = "Service temporarily unavailable"
GATEWAY_PAGE = b"<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>\n"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer; ``msg`` is None for uploads, which have none."""

    msg: str | None
    data: Any
    status: int = 200


class Call:
    """What a handler is given: who calls, the house, and the request's parts."""

    def __init__(self, request: Request, parts: SandboxParts, key: Key) -> None:
        self.request = request
        self.parts = parts
        self.key = key
        self.settings = parts.sandbox_state.settings

    @property
    def origin(self) -> str:
        """The sandbox's address as the caller wrote it, with a slash at its end."""
        return str(self.request.base_url)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def object_id(self, name: str, noun: str) -> str:
        """A path segment that must look like an id."""
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
        """The body as an object."""
        body = await self.json()
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid request body")
        return body


Handler = Callable[[Call], Awaitable[Reply]]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(handler: Handler) -> Endpoint:
    """The handler behind the whole door. Order of checks: key, quota, then the handler's own."""

    async def serve(request: Request) -> Response:
        parts: SandboxParts = request.app.state.parts
        try:
            key = identify(request.headers.get("authorization"), parts.sandbox_state)
        except Refusal as refusal:
            response = refused(refusal)
            response.headers.update(parts.quota.headers(None))
            return _logged(request, parts, None, response, None)
        facts = {"method": request.method, "path": request.url.path, "key_id": key.id}
        fault = _strike(parts, facts)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        response = await _answer(handler, Call(request, parts, key), fault)
        response.headers.update(parts.quota.headers(key))
        if response.status_code == 405:
            response.headers["Allow"] = allow_header(request)
        if fault is not None and fault.kind == "rate_limit":
            response.headers["X-RateLimit-Remaining"] = "0"
        return _logged(request, parts, key, response, fault)

    return serve


def _strike(parts: SandboxParts, facts: dict[str, str]) -> Fault | None:
    """The first API fault armed for this call; ``drift`` is taken by the list itself."""
    for kind in ("slow", "error", "rate_limit", "truncated_json", "wrong_content_type"):
        if (fault := parts.sandbox_state.faults.take(kind, facts)) is not None:
            return fault
    return None


async def _answer(handler: Handler, call: Call, fault: Fault | None) -> Response:
    try:
        call.parts.quota.spend(call.key)
        if fault is not None and fault.kind == "rate_limit":
            raise call.parts.quota.refusal(call.key)
        if fault is not None and fault.kind == "error" and fault.stage == "before":
            raise _failure(fault.status)
        reply = await handler(call)
        if fault is not None and fault.kind == "error":
            raise _failure(fault.status)
    except Refusal as refusal:
        return refused(refusal)
    except ClientDisconnect:
        return Response(status_code=400)
    return _spoiled(answered(reply), fault)


def _failure(status: int) -> Refusal:
    return Refusal(status, "Internal server error" if status == 500 else UNAVAILABLE)


def _spoiled(response: Response, fault: Fault | None) -> Response:
    if fault is not None and fault.kind == "truncated_json":
        half = bytes(response.body)[: len(response.body) // 2]
        return Response(half, response.status_code, media_type="application/json")
    if fault is not None and fault.kind == "wrong_content_type":
        return Response(GATEWAY_PAGE, response.status_code, media_type="text/html")
    return response


def answered(reply: Reply) -> Response:
    envelope = {"error": False, "msg": reply.msg, "data": reply.data}
    if reply.msg is None:
        del envelope["msg"]
    return json_response(envelope, reply.status)


def allow_header(request: Request) -> str:
    """The methods of the path called, without the one that was refused."""
    methods: set[str] = request.app.state.methods_of(request.scope["path"])
    return ", ".join(sorted(methods - {request.method}))


def refused(refusal: Refusal) -> Response:
    envelope: dict[str, Any] = {"error": True, "msg": refusal.msg}
    if refusal.data is not None:
        envelope["data"] = refusal.data
    if isinstance(refusal, TopLevel):
        envelope |= refusal.beside
    return json_response(envelope, refusal.status)


def json_response(content: Any, status: int = 200) -> Response:
    return Response(encode(content), status, media_type="application/json")


def _logged(
    request: Request, parts: SandboxParts, key: Key | None, response: Response, fault: Fault | None
) -> Response:
    parts.sandbox_state.store.log_call(
        at=parts.sandbox_state.now(),
        key_id=None if key is None else key.id,
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        status=response.status_code,
        fault=None if fault is None else fault.kind,
    )
    return response
