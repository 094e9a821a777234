"""The endpoints of ``/requests``: ask, read, wait, list and cancel."""

import logging

import msgspec

from hitlsh.api.questions.new_question import LARGEST_QUESTION, decode_question
from hitlsh.asking.ask_errors import AskUnknown
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.events import Trust
from hitlsh.webhooks.delivery_headers import unsupported_form
from service.web.body_reader import BodyReader
from service.web.requests import problems
from service.web.requests.api_endpoint import Call
from service.web.requests.event_stream import EventStream
from service.web.requests.query_parameters import QueryParameters, is_own_id, is_request_id
from service.web.requests.replies import Reply, reply_with_request
from service.web.requests.request_waits import RequestWaits
from workers.asking.asking_service import AskingService
from workers.telemetry import traces
from workers.telemetry.traces import NO_SPAN, Span

logger = logging.getLogger("hitl.receiver")

PATH = "/requests"
#: Bytes of a body: the largest question, and white space.
_LARGEST_BODY = 2 * LARGEST_QUESTION
_BODY_SECONDS = 10.0


class RequestPage(msgspec.Struct, frozen=True, kw_only=True):
    """Requests without an outcome, oldest first."""

    requests: list[AskedRequest]
    #: The parameter `after` for the next page; null on the last page.
    next: str | None


class RequestHandlers:
    """The handlers of all calls; each raises `RequestProblem`, `AskError` or `ApiError`."""

    def __init__(self, service: AskingService, waits: RequestWaits) -> None:
        self._service = service
        self._waits = waits
        self._bodies = BodyReader(max_body=_LARGEST_BODY)

    async def ask(self, call: Call) -> None:
        """``POST /requests``."""
        QueryParameters(call.scope["query_string"]).check()
        if unsupported_form(call.scope["headers"]) is not None:
            raise problems.body_refused(415)
        body = await self._bodies.read(call.scope, call.receive, limit=_LARGEST_BODY, seconds=_BODY_SECONDS)
        question = decode_question(body)
        with _begin_span(call) as span:
            submission = await self._service.submit(question)
            request = submission.request
            span.add({"hitl.question": request.id})
        if not submission.is_new:
            status = 200
        elif request.status in ("queued", "asking"):
            status = 202
        else:
            status = 201
        logger.info("request.submitted token=%s id=%s status=%d", call.token.name, request.id, status)
        location = [(b"location", f"{PATH}/{request.id}".encode())]
        await reply_with_request(request, status=status, headers=location).send(call.send)

    async def list_open(self, call: Call) -> None:
        """``GET /requests``."""
        query = QueryParameters(call.scope["query_string"])
        limit, after = query.limit(), query.after()
        query.check()
        page = await self._service.list_open(limit=limit, after=after)
        next_id = page[-1].id if len(page) == limit else None
        body = msgspec.json.encode(RequestPage(requests=page, next=next_id))
        await Reply(body=body).send(call.send)

    async def read(self, call: Call) -> None:
        """``GET /requests/{id}``."""
        query = QueryParameters(call.scope["query_string"])
        seconds, trust = query.wait(), query.trust()
        query.check()
        if seconds == 0:
            await reply_with_request(await self._find(call, trust)).send(call.send)
            return
        request = await self._waits.wait(call, await self._own_id(call), trust=trust, seconds=seconds)
        if request is None:
            return
        is_cut_short = request.outcome is None and self._waits.is_closing
        headers = [(b"retry-after", b"0")] if is_cut_short else []
        await reply_with_request(request, headers=headers).send(call.send)

    async def follow(self, call: Call) -> None:
        """``GET /requests/{id}/events``."""
        query = QueryParameters(call.scope["query_string"])
        trust = query.trust()
        query.check()
        await EventStream(self._waits, call, trust).send_versions(await self._own_id(call))

    async def cancel(self, call: Call) -> None:
        """``DELETE /requests/{id}``."""
        QueryParameters(call.scope["query_string"]).check()
        request = await self._service.cancel(_request_id(call))
        logger.info("request.cancelled token=%s id=%s", call.token.name, request.id)
        await reply_with_request(request).send(call.send)

    async def _find(self, call: Call, trust: Trust) -> AskedRequest:
        """The request of the path; raises `AskUnknown`."""
        request_id = _request_id(call)
        request = await self._waits.read(request_id, trust)
        if request is None:
            raise AskUnknown(request_id)
        return request

    async def _own_id(self, call: Call) -> str:
        """Our own id of the request of the path; raises `AskUnknown`."""
        request_id = _request_id(call)
        return request_id if is_own_id(request_id) else (await self._find(call, "callback")).id


def _begin_span(call: Call) -> Span:
    """Continue the trace of the caller, who has a token."""
    if not traces.is_on():
        return NO_SPAN
    sent = (value.decode("latin-1") for name, value in call.scope["headers"] if name == b"traceparent")
    return traces.span(
        "server",
        f"POST {PATH}",
        parent=next(sent, ""),
        attributes=lambda: {"http.request.method": "POST", "http.route": PATH},
    )


def _request_id(call: Call) -> str:
    request_id = call.scope["path_params"]["id"]
    if not is_request_id(request_id):
        raise AskUnknown(request_id[:64])
    return str(request_id)
