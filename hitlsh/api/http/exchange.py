"""The life of a call without I/O: a generator that says what to do next and is told how it went.

`Client` and `AsyncClient` only carry out the steps, so that both behave alike.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import msgspec

from hitlsh.api.errors import ApiError, BudgetExhausted, StatusError, Unreachable
from hitlsh.api.http.rate_limit import RateLimit
from hitlsh.api.http.replies import HttpReply, read, refusal, result
from hitlsh.api.http.retrying import RetryPolicy, RetryState, may_have_acted
from hitlsh.api.operations import HttpRequest, Operation, to_http_request
from hitlsh.api.request_recorder import RecorderEntry, log_errors

T = TypeVar("T")


class Spend(msgspec.Struct, frozen=True):
    """Step: take a call from the budget. Told: the seconds to wait, 0.0 when taken."""


class Observe(msgspec.Struct, frozen=True):
    """Step: tell the budget what HITL.sh said. Told nothing."""

    rate_limit: RateLimit
    #: What HITL.sh has done by this call cannot be asked again: the budget's failure must not hide it.
    changed: HttpRequest | None = None

    def forgiving(self) -> AbstractContextManager[None]:
        """What to tell the budget in."""
        return nullcontext() if self.changed is None else log_errors("budget.failed", self.changed.path)


class RecordRequest(msgspec.Struct, frozen=True):
    """Step: tell the recorder of a request that now exists. Told nothing."""

    made: RecorderEntry

    def forgiving(self) -> AbstractContextManager[None]:
        """What to tell the recorder in."""
        return log_errors("recorder.failed", self.made.created.request_id)


class Sleep(msgspec.Struct, frozen=True):
    """Step: wait. Told nothing."""

    seconds: float


class Transmit(msgspec.Struct, frozen=True):
    """Step: make one HTTP request. Told: `HttpReply` or `Unreachable`, the latter not raised."""

    wire: HttpRequest


Step: TypeAlias = Spend | Observe | RecordRequest | Sleep | Transmit
Flow: TypeAlias = Generator[Step, Any, T]
#: Several calls as one: yields operations (told their result, or their error raised) and sleeps.
Script: TypeAlias = Generator[Operation[Any] | Sleep, Any, T]


def _now() -> datetime:
    return datetime.now(UTC)


class Exchange:
    """What a client knows between calls: the address, the key, its patience and the limit as last seen."""

    def __init__(
        self,
        *,
        key: str,
        base_url: str,
        api_prefix: str,
        policy: RetryPolicy,
        budgeted: bool,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.rate_limit: RateLimit | None = None
        self._key = key
        self._base_url = base_url
        self._api_prefix = api_prefix
        self._policy = policy
        self._budgeted = budgeted
        self._clock = clock

    def flow(self, job: Operation[T] | Script[T]) -> Flow[T]:
        """The steps for a call, or for a script of calls."""
        return self.call(job) if isinstance(job, Operation) else self._play(job)

    def call(self, operation: Operation[T]) -> Flow[T]:
        """Make the call, again where the policy allows; raises what went wrong last."""
        wire = to_http_request(operation, self._base_url, self._api_prefix)
        patience = RetryState(self._policy)
        earlier: ApiError | None = None
        while True:
            yield from self._spend(patience)
            failure, found = yield from self._once(operation, wire)
            if failure is None:
                answer: T = found
                return answer
            wait = patience.wait_after(failure, operation.method, self._clock())
            if wait is None:
                if isinstance(failure, StatusError) and not may_have_acted(failure):
                    failure.earlier_failure = earlier
                raise failure
            if operation.method != "GET" and may_have_acted(failure):
                earlier = failure
            yield Sleep(wait)

    def _play(self, script: Script[T]) -> Flow[T]:
        told: Any = None
        while True:
            try:
                step = script.send(told)
            except StopIteration as end:
                found: T = end.value
                return found
            told = (yield step) if isinstance(step, Sleep) else (yield from self.call(step))

    def _spend(self, patience: RetryState) -> Flow[None]:
        while self._budgeted and (wanted := (yield Spend())) > 0:
            wait = patience.wait(wanted)
            if wait is None:
                raise BudgetExhausted(
                    f"our own budget has no call for another {wanted:.0f} s, longer than this client waits: "
                    "try later, or raise max_wait",
                    self._clock() + timedelta(seconds=wanted),
                )
            yield Sleep(wait)

    def _once(self, operation: Operation[T], wire: HttpRequest) -> Generator[Step, Any, tuple[ApiError | None, Any]]:
        told: HttpReply | Unreachable = yield Transmit(wire)
        if isinstance(told, Unreachable):
            return told, None
        now = self._clock()
        reading = read(told, now, self._key)
        if reading.rate_limit is not None:
            self.rate_limit = reading.rate_limit
            if self._budgeted:
                yield Observe(reading.rate_limit, wire if operation.method != "GET" else None)
        failure: StatusError | None = refusal(operation, wire, told.status, reading)
        if failure is not None:
            return failure, None
        found = result(operation, wire, told.status, reading)
        if isinstance(found, ApiError):
            return found, None
        made = operation.makes(found) if operation.makes is not None else None
        if made is not None:
            yield RecordRequest(made)
        return None, found
