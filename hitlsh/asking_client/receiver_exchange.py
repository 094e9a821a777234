"""Calls of the receiver as generators without I/O: they yield steps and receive their results.

`Hitl` and `AsyncHitl` execute the steps, so that both behave alike. Calls survive a restart of the receiver: a call
without a reply, or with a temporary error, is retried until its deadline. Every call is safe to repeat: a question
without a key is sent with a random one.
"""

import random
import secrets
import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec

from hitlsh.api.errors import Unreachable
from hitlsh.api.http.exchange import Sleep, Transmit
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import HttpRequest, path_segment
from hitlsh.api.questions.new_question import NewQuestion, encode_question
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.asking_client.client_errors import ReceiverUnreachable, StillOpen
from hitlsh.asking_client.problem_replies import (
    call_name,
    error_of,
    is_passing,
    read_request,
    read_requests,
    requested_wait,
)
from hitlsh.events import Trust
from hitlsh.trace_context import current_traceparent

T = TypeVar("T")
Flow: TypeAlias = Generator[Transmit | Sleep, Any, T]

#: Seconds that one GET asks the receiver to hold the reply.
LONG_POLL = 25.0
#: The shortest and the longest backoff, seconds.
_BACKOFF, _BACKOFF_CAP = 0.2, 5.0
#: Seconds of ``Retry-After`` that a wait honours at most, because an answer may come sooner.
_RETRY_AFTER_CAP = 60.0

_READ_ADVICE = "check the network and HITL_RECEIVER_URL, then try again"


class ReceiverExchange(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one receiver. Deadlines are times of `clock`."""

    url: str
    #: Seconds for which a call is retried, except for `wait`.
    retry_seconds: float
    clock: Callable[[], float] = time.monotonic
    #: From 0 to 1.
    random_fraction: Callable[[], float] = random.random

    def submit(self, question: NewQuestion) -> Flow[AskedRequest]:
        """Ask the question; a repetition after a lost reply returns the same request."""
        key = question.key if question.key is not None else f"auto-{secrets.token_urlsafe(16)}"
        body = encode_question(msgspec.structs.replace(question, key=key))
        http_request = self._request("POST", "/requests", body=body)
        reply = yield from self._call(
            http_request,
            self.clock() + self.retry_seconds,
            advice=_submit_advice(question),
        )
        if error := error_of(http_request, reply, key=key, request_id=None):
            raise error
        return read_request(http_request, reply)

    def get(self, request_id: str, *, trust: Trust | None) -> Flow[AskedRequest]:
        """Read a request; an outcome with less trust is left out."""
        return (yield from self._about("GET", request_id, _READ_ADVICE, query=_trust_query(trust)))

    def cancel(self, request_id: str) -> Flow[AskedRequest]:
        """Cancel a request."""
        return (yield from self._about("DELETE", request_id, "whether it was cancelled is not known: read it again"))

    def list_open(self, limit: int) -> Flow[list[AskedRequest]]:
        """Read the requests without an outcome, the oldest first."""
        http_request = self._request("GET", "/requests", query={"limit": str(limit)})
        reply = yield from self._call(http_request, self.clock() + self.retry_seconds, advice=_READ_ADVICE)
        if error := error_of(http_request, reply, key=None, request_id=None):
            raise error
        return read_requests(http_request, reply)

    def wait(self, request_id: str, *, seconds: float | None, trust: Trust | None) -> Flow[AskedRequest]:
        """Wait for the outcome, for `seconds` or without limit; raises `StillOpen`."""
        deadline = float("inf") if seconds is None else self.clock() + seconds
        while True:
            started = self.clock()
            poll = max(0.0, min(LONG_POLL, deadline - started))
            query = {"wait": f"{poll:.0f}"} | _trust_query(trust)
            http_request = self._request("GET", _path(request_id), query=query, hold_seconds=poll)
            advice = f"{request_id} may still be open, wait for it again once the receiver is back"
            reply = yield from self._call(http_request, deadline, advice=advice)
            if error := error_of(http_request, reply, key=None, request_id=request_id):
                raise error
            request = read_request(http_request, reply)
            if request.outcome is not None:
                return request
            now = self.clock()
            if now >= deadline:
                raise StillOpen(request)
            # A receiver that stops ends its polls at once; another process needs a moment to take over.
            if now - started < min(1.0, poll):
                yield Sleep(min(_BACKOFF * (1 + self.random_fraction()), deadline - now))

    def _about(
        self, method: str, request_id: str, advice: str, *, query: dict[str, str] | None = None
    ) -> Flow[AskedRequest]:
        http_request = self._request(method, _path(request_id), query=query)
        reply = yield from self._call(http_request, self.clock() + self.retry_seconds, advice=advice)
        if error := error_of(http_request, reply, key=None, request_id=request_id):
            raise error
        return read_request(http_request, reply)

    def _call(self, http_request: HttpRequest, deadline: float, *, advice: str) -> Flow[HttpReply]:
        """The first reply that is not a temporary error; raises `ReceiverUnreachable` at the deadline."""
        backoff = _BACKOFF
        while True:
            reply: HttpReply | Unreachable = yield Transmit(http_request)
            if isinstance(reply, HttpReply) and not is_passing(reply):
                return reply
            asked_wait = min(_RETRY_AFTER_CAP, requested_wait(reply)) if isinstance(reply, HttpReply) else 0.0
            pause = max(asked_wait, backoff * (0.5 + self.random_fraction() / 2))
            if self.clock() + pause > deadline:
                if isinstance(reply, HttpReply) and reply.status == 429:
                    return reply
                reason = reply.reason if isinstance(reply, Unreachable) else f"it answered {reply.status}"
                raise ReceiverUnreachable(call_name(http_request), reason, advice)
            yield Sleep(pause)
            backoff = min(_BACKOFF_CAP, backoff * 2)

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        hold_seconds: float = 0.0,
    ) -> HttpRequest:
        return HttpRequest(
            method=method,
            url=f"{self.url}{path}" + (f"?{urlencode(query)}" if query else ""),
            path=path,
            body=body,
            attachment=None,
            hold_seconds=hold_seconds,
            traceparent=current_traceparent(),
        )


def _path(request_id: str) -> str:
    return f"/requests/{path_segment('id', request_id)}"


def _trust_query(trust: Trust | None) -> dict[str, str]:
    return {} if trust is None else {"trust": trust}


def _submit_advice(question: NewQuestion) -> str:
    if question.key is not None:
        return "ask again with the same key: the question is not asked twice"
    return "the question may have been asked: give key= so that you can ask again without asking twice"
