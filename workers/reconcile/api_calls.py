"""Makes the calls of a reconcile run, charged to the shared budget, and classifies their errors."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from redis import Redis

from hitlsh.api import Client
from hitlsh.api.errors import (
    ApiError,
    ArgumentInvalid,
    BadRequest,
    BudgetExhausted,
    Forbidden,
    NotFound,
    RateLimited,
    ServerError,
    StatusError,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from hitlsh.api.http.rate_limit import RateLimit
from hitlsh.api.models.requests import Request, RequestSummary
from workers.errors import WorkersError
from workers.inbox.budget.hourly_calls import BudgetRules, Purpose
from workers.inbox.budget.redis_budget import RedisBudget
from workers.reconcile import api_reading
from workers.reconcile.planning.progress import Answer, Call, Get, List, Missing
from workers.reconcile.state import Trouble

Reply = TypeVar("Reply")
#: What HITL.sh showed in answer to a call, by request id.
Shown: TypeAlias = dict[str, RequestSummary]


#: Errors that may concern one request alone, and those that concern the API key.
_REQUEST_ERRORS = (StatusError, UnexpectedReply, ArgumentInvalid)
_KEY_ERRORS = (Unauthorized, RateLimited)
#: HITL.sh never issued such an id: a forged delivery named it.
_INVALID_ID_ERRORS = (BadRequest, ArgumentInvalid)


class Stopped(WorkersError):
    """No more calls can be made for now; saved results remain."""

    def __init__(self, trouble: Trouble, reason: str, retry_at: float | None = None) -> None:
        super().__init__(reason)
        self.trouble: Trouble = trouble
        self.reason = reason
        #: When a call is possible again (seconds since 1970), if that is known.
        self.retry_at = retry_at


class RequestWithheld(WorkersError):
    """HITL.sh fails to show this one request while it shows others: the run skips it."""


class ReconcileBudget:
    """Charges calls to the share of reconcile runs; overdue or unconfirmed requests may borrow from the reserve for
    asking."""

    def __init__(self, redis: Redis, api_key: str, rules: BudgetRules) -> None:
        def budget(purpose: Purpose) -> RedisBudget:
            return RedisBudget(redis, api_key, rules=rules, purpose=purpose)

        self._routine, self._borrowing, self._capped = budget("reconcile"), budget("overdue"), budget("unverified")
        #: The purpose to which calls are charged.
        self.purpose: Purpose = "reconcile"

    def spend(self) -> float:
        """See `hitlsh.api.Budget`."""
        if self.purpose == "unverified":
            return self._capped.spend()
        delay = self._routine.spend()
        return self._borrowing.spend() if delay > 0 and self.purpose == "overdue" else delay

    def calls_for_unverified(self) -> int:
        """Calls that may be made now for unverified requests."""
        return self._capped.available()

    def observe(self, rate_limit: RateLimit) -> None:
        """See `hitlsh.api.Budget`."""
        self._routine.observe(rate_limit)


class ApiCaller:
    """Makes the calls of a reconcile run. Its methods raise `Stopped` if no call can be made."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        #: A list was read with this key, so the key is valid, and a request that it cannot read is missing.
        self._can_list = False
        #: Calls made so far.
        self.made = 0

    def answer(self, call: Call) -> tuple[Answer, Shown]:
        """Make a call; returns the answer for `PlanExecution.step`, and the requests that HITL.sh showed."""
        if isinstance(call, List):
            return self._page(call)
        request = self.full_fetch(call)
        if isinstance(request, Missing):
            return request, {}
        return api_reading.row(request, self._now()), {request.id: request}

    def full_fetch(self, call: Get) -> Request | Missing:
        """Read one request with all its fields; raises `RequestWithheld` if that fails for this request only."""
        try:
            return self._call(lambda: self._client.requests.get(call.id))
        except (NotFound, Forbidden):
            # Either the request does not exist, or the key may read nothing.
            self._check_lists_are_readable()
            return Missing(id=call.id)
        except Stopped as stopped:
            if not isinstance(stopped.__cause__, _REQUEST_ERRORS) or isinstance(stopped.__cause__, _KEY_ERRORS):
                raise
            self._check_lists_are_readable()
            if isinstance(stopped.__cause__, _INVALID_ID_ERRORS):
                return Missing(id=call.id)
            raise RequestWithheld(stopped.reason) from stopped

    def loop_names(self) -> dict[str, str]:
        """Loop names by id, of this key's account; empty if the key may not list loops."""
        try:
            loops = self._call(self._client.loops.list)
        except (NotFound, Forbidden):
            return {}
        return {loop.id: loop.name for loop in loops if loop.name is not None}

    def _check_lists_are_readable(self) -> None:
        """Tell an error of one request from an error of all, once per run; raises `Stopped` for the latter."""
        if not self._can_list:
            self._page(List(offset=0, limit=1))

    def _page(self, call: List) -> tuple[Answer, Shown]:
        try:
            page = self._call(
                lambda: self._client.requests.page(
                    status=call.status, sort="created_at_desc", limit=call.limit, offset=call.offset
                )
            )
        except (NotFound, Forbidden) as error:
            raise Stopped("refused", str(error)) from error
        self._can_list = True
        return api_reading.rows(page, self._now(), call.offset), {shown.id: shown for shown in page.requests}

    def _call(self, call: Callable[[], Reply]) -> Reply:
        try:
            reply = call()
        except BudgetExhausted as error:
            raise Stopped("budget", str(error), _seconds(error.reset_at)) from error
        except ApiError as error:
            self.made += 1
            if isinstance(error, NotFound | Forbidden):
                raise
            raise Stopped(_trouble(error), str(error), _seconds(getattr(error, "reset_at", None))) from error
        self.made += 1
        return reply


def _trouble(error: ApiError) -> Trouble:
    match error:
        case Unauthorized():
            return "key_refused"
        case RateLimited():
            return "rate_limited"
        case Unreachable() | ServerError():
            return "unreachable"
        case StatusError():
            return "refused"
    return "unexpected"


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.astimezone(UTC).timestamp()
