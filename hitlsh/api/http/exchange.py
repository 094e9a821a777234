"""A call as a generator without I/O: it yields steps and receives their results.

`Client` and `AsyncClient` execute the steps, so that both behave alike.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import msgspec

from hitlsh.api.errors import ApiError, BudgetExhausted, StatusError, Unreachable
from hitlsh.api.http.rate_limit import RateLimit
from hitlsh.api.http.replies import HttpReply, read, result, status_error
from hitlsh.api.http.retrying import RetryPolicy, RetryState, may_have_acted
from hitlsh.api.operations import HttpRequest, Operation, to_http_request
from hitlsh.api.request_recorder import RecorderEntry, log_errors

T = TypeVar("T")


class Spend(msgspec.Struct, frozen=True):
    """Step: take a call from the budget. Result: the seconds to wait; 0.0 when the call was taken."""


class Observe(msgspec.Struct, frozen=True):
    """Step: give the budget the rate limit of a reply. No result."""

    rate_limit: RateLimit
    #: The call, when it changed something: a failure of the budget must not hide that.
    changed_by: HttpRequest | None = None

    def logging_errors(self) -> AbstractContextManager[None]:
        """Return the context in which to execute the step."""
        return nullcontext() if self.changed_by is None else log_errors("budget.failed", self.changed_by.path)


class RecordRequest(msgspec.Struct, frozen=True):
    """Step: give the recorder a created request. No result."""

    entry: RecorderEntry

    def logging_errors(self) -> AbstractContextManager[None]:
        """Return the context in which to execute the step."""
        return log_errors("recorder.failed", self.entry.created.request_id)


class Sleep(msgspec.Struct, frozen=True):
    """Step: wait. No result."""

    seconds: float


class Transmit(msgspec.Struct, frozen=True):
    """Step: send an HTTP request. Result: `HttpReply`, or `Unreachable` as a value."""

    request: HttpRequest


Step: TypeAlias = Spend | Observe | RecordRequest | Sleep | Transmit
Flow: TypeAlias = Generator[Step, Any, T]
#: Several calls as one: yields operations, which return their result or raise, and sleeps.
Script: TypeAlias = Generator[Operation[Any] | Sleep, Any, T]


def _now() -> datetime:
    return datetime.now(UTC)


class Exchange:
    """The state of a client between calls: its configuration, and the rate limit of the last reply."""

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
        """Return the steps of a call, or of a script of calls."""
        return self.call(job) if isinstance(job, Operation) else self._run_script(job)

    def call(self, operation: Operation[T]) -> Flow[T]:
        """Make a call, again where the retry policy allows; raises the last error."""
        request = to_http_request(operation, self._base_url, self._api_prefix)
        retry_state = RetryState(self._policy)
        earlier: ApiError | None = None
        while True:
            yield from self._spend(retry_state)
            failure, value = yield from self._once(operation, request)
            if failure is None:
                result_value: T = value
                return result_value
            wait = retry_state.wait_after(failure, operation.method, self._clock())
            if wait is None:
                if isinstance(failure, StatusError) and not may_have_acted(failure):
                    failure.earlier_failure = earlier
                raise failure
            if operation.method != "GET" and may_have_acted(failure):
                earlier = failure
            yield Sleep(wait)

    def _run_script(self, script: Script[T]) -> Flow[T]:
        step_result: Any = None
        while True:
            try:
                step = script.send(step_result)
            except StopIteration as end:
                value: T = end.value
                return value
            step_result = (yield step) if isinstance(step, Sleep) else (yield from self.call(step))

    def _spend(self, retry_state: RetryState) -> Flow[None]:
        while self._budgeted and (seconds := (yield Spend())) > 0:
            wait = retry_state.wait(seconds)
            if wait is None:
                raise BudgetExhausted(
                    f"the budget has no call for another {seconds:.0f} s, longer than this client waits: "
                    "try later, or raise max_wait",
                    self._clock() + timedelta(seconds=seconds),
                )
            yield Sleep(wait)

    def _once(self, operation: Operation[T], request: HttpRequest) -> Generator[Step, Any, tuple[ApiError | None, Any]]:
        reply: HttpReply | Unreachable = yield Transmit(request)
        if isinstance(reply, Unreachable):
            return reply, None
        parsed = read(reply, self._clock(), self._key)
        if parsed.rate_limit is not None:
            self.rate_limit = parsed.rate_limit
            if self._budgeted:
                yield Observe(parsed.rate_limit, request if operation.method != "GET" else None)
        error = status_error(operation, request, reply.status, parsed)
        if error is not None:
            return error, None
        value = result(operation, request, reply.status, parsed)
        if isinstance(value, ApiError):
            return value, None
        entry = operation.created_request(value) if operation.created_request is not None else None
        if entry is not None:
            yield RecordRequest(entry)
        return None, value
