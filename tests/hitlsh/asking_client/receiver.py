"""A receiver's ``/requests`` in memory, over real HTTP, which can be stopped and started again as a restart would."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hitl_sandbox.testing import free_socket
from hitlsh.api.questions.new_question import NewQuestion, decode_question, differing_fields
from hitlsh.asking.ask_errors import QuestionInvalid
from hitlsh.asking.ask_outcomes import Answered, AskOutcome, Cancelled
from hitlsh.asking.asked_request import AskedRequest, encode_asked

TOKEN = "a-token-of-the-tests-01"
POLL = 0.01


class Receiver:
    """Requests by id, what was called, and replies to give in place of true ones."""

    def __init__(self) -> None:
        listener = free_socket()
        self.port: int = listener.getsockname()[1]
        listener.close()
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: dict[str, AskedRequest] = {}
        self.questions: dict[str, NewQuestion] = {}
        #: Method, path and query of each call.
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        #: Replies that the next calls get: of one method, or of any.
        self.scripted: list[tuple[str | None, Response]] = []
        #: The reply to this many POSTs is lost: the connection ends after the question is recorded.
        self.lost_replies = 0
        self.is_stopping = False
        self._server: uvicorn.Server | None = None

    def start(self) -> None:
        routes = [
            Route("/requests", self._submit, methods=["POST"]),
            Route("/requests", self._list, methods=["GET"]),
            Route("/requests/{id}", self._get, methods=["GET"]),
            Route("/requests/{id}", self._cancel, methods=["DELETE"]),
        ]
        self.is_stopping = False
        config = uvicorn.Config(
            Starlette(routes=routes), host="127.0.0.1", port=self.port, log_level="critical", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.005)

    def stop(self) -> None:
        """End the waits, as on SIGTERM, and close the port."""
        assert self._server is not None
        self.is_stopping = True
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def end(self, request_id: str, outcome: AskOutcome) -> None:
        asked = self.requests[request_id]
        self.requests[request_id] = msgspec.structs.replace(
            asked, status="ended", outcome=outcome, version=asked.version + 1
        )

    def answer(self, request_id: str, response: Any) -> None:
        self.end(request_id, Answered(response=response, trust="callback"))

    @property
    def only(self) -> AskedRequest:
        (request,) = self.requests.values()
        return request

    async def _submit(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        try:
            question = decode_question(await request.body())
        except QuestionInvalid as error:
            return problem(422, "The question is invalid", problems=msgspec.to_builtins(error.problems))
        for known_id, known in self.questions.items():
            if question.key is not None and known.key == question.key:
                if fields := differing_fields(known, question):
                    return problem(409, "The key belongs to another question", fields=fields, request_id=known_id)
                return self._reply(200, known_id)
        request_id = f"ask_{len(self.requests):022}"
        self.questions[request_id] = question
        self.requests[request_id] = AskedRequest(
            id=request_id,
            key=question.key,
            status="open",
            text=question.text,
            response_type=question.response_type,
            trust=question.trust,
            version=1,
        )
        if self.lost_replies > 0:
            self.lost_replies -= 1
            raise RuntimeError("the reply is lost")
        return self._reply(201, request_id)

    async def _get(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        deadline = time.monotonic() + float(request.query_params.get("wait", "0"))
        request_id = request.path_params["id"]
        if request_id not in self.requests:
            return problem(404, "No such request")
        while self._is_open(request_id) and time.monotonic() < deadline:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(POLL)
        return self._reply(200, request_id)

    async def _list(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        limit = int(request.query_params["limit"])
        requests = [asked for asked in self.requests.values() if asked.outcome is None][:limit]
        return JSONResponse({"requests": msgspec.to_builtins(requests), "next": None})

    async def _cancel(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        request_id = request.path_params["id"]
        if request_id not in self.requests:
            return problem(404, "No such request")
        if self.requests[request_id].outcome is not None:
            return problem(409, "It has ended")
        self.end(request_id, Cancelled(trust="confirmed"))
        return self._reply(200, request_id)

    def _is_open(self, request_id: str) -> bool:
        return self.requests[request_id].outcome is None and not self.is_stopping

    async def _refusal(self, request: Request) -> Response | None:
        self.calls.append((request.method, request.url.path, dict(request.query_params)))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "The token is not known")
        if self.scripted and self.scripted[0][0] in (None, request.method):
            return self.scripted.pop(0)[1]
        return None

    def _reply(self, status: int, request_id: str) -> Response:
        return Response(encode_asked(self.requests[request_id]), status_code=status, media_type="application/json")


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, kind: str = "test", **members: Any
) -> Response:
    content = {"type": f"urn:hitl-receiver:problem:{kind}", "title": detail, "status": status, "detail": detail}
    return JSONResponse(content | members, status, headers, media_type="application/problem+json")


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
