"""A reconcile run's calls to HITL.sh, charged to the shared budget, and what their failures mean for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from redis import Redis

from hitlsh.api import Client
from hitlsh.api.errors import (
    ApiError,
    AskingError,
    BadRequest,
    BudgetExhausted,
    Forbidden,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from hitlsh.api.http.rate_limit import RateLimit
from hitlsh.api.models.requests import Request, RequestSummary
from workers.errors import WorkersError
from workers.inbox.budget.hourly_calls import Purpose, Rules
from workers.inbox.budget.redis_budget import RedisBudget
from workers.reconcile import api_reading
from workers.reconcile.planning.progress import Answer, Call, Get, List, Missing
from workers.reconcile.state import Trouble

#: What HITL.sh showed in answer to a call, by request id.
Shown: TypeAlias = dict[str, RequestSummary]


#: What may be wrong with one request alone, and what is wrong with whoever asks.
_OF_ONE_REQUEST = (Refused, UnexpectedReply, AskingError)
_OF_THE_KEY = (Unauthorized, RateLimited)
#: HITL.sh never gave a request such an id; whoever posted it made it up.
_NO_ID = (BadRequest, AskingError)


class Stopped(WorkersError):
    """No more calls for now; what was learned so far stands."""

    def __init__(self, trouble: Trouble, said: str, retry_at: float | None = None) -> None:
        super().__init__(said)
        self.trouble: Trouble = trouble
        self.said = said
        #: When a call is possible again (seconds since 1970), if that is known.
        self.retry_at = retry_at


class RequestWithheld(WorkersError):
    """HITL.sh fails to show this one request, and others it shows: no reason to stop."""


class ReconcileBudget:
    """Pays from the share of reconcile runs; overdue or unconfirmed requests may borrow from the reserve for asking."""

    def __init__(self, redis: Redis, api_key: str, rules: Rules) -> None:
        def budget(purpose: Purpose) -> RedisBudget:
            return RedisBudget(redis, api_key, rules=rules, purpose=purpose)

        self._routine, self._borrowing, self._capped = budget("reconcile"), budget("overdue"), budget("unverified")
        #: What the calls are made for.
        self.purpose: Purpose = "reconcile"

    def spend(self) -> float:
        """See `hitlsh.api.Budget`."""
        if self.purpose == "unverified":
            return self._capped.spend()
        wait = self._routine.spend()
        return self._borrowing.spend() if wait > 0 and self.purpose == "overdue" else wait

    def calls_for_unverified(self) -> int:
        """Calls that may be made now for what somebody said who cannot be verified."""
        return self._capped.available()

    def observe(self, rate_limit: RateLimit) -> None:
        """See `hitlsh.api.Budget`."""
        self._routine.observe(rate_limit)


class ApiCaller:
    """Makes the calls that a reconcile run names. Raises `Stopped` where none can be made."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        #: A list was read with this key: what it does not find is not there, rather than all being refused.
        self._lists = False
        self.made = 0

    def answer(self, call: Call) -> tuple[Answer, Shown]:
        """The answer as the reconcile run's machine takes it, and what HITL.sh showed."""
        if isinstance(call, List):
            return self._page(call)
        found = self.full_fetch(call)
        if isinstance(found, Missing):
            return found, {}
        return api_reading.row(found, self._now()), {found.id: found}

    def full_fetch(self, call: Get) -> Request | Missing:
        """One request with all that HITL.sh shows of it; raises `Withheld` where that fails for this one alone."""
        try:
            return self._made(lambda: self._client.requests.get(call.id))
        except (NotFound, Forbidden):
            # Is it the request that is gone, or the key that may see nothing?
            self._see_a_list()
            return Missing(id=call.id)
        except Stopped as stopped:
            if not isinstance(stopped.__cause__, _OF_ONE_REQUEST) or isinstance(stopped.__cause__, _OF_THE_KEY):
                raise
            self._see_a_list()
            if isinstance(stopped.__cause__, _NO_ID):
                return Missing(id=call.id)
            raise RequestWithheld(stopped.said) from stopped

    def _see_a_list(self) -> None:
        """Tells one request's trouble from everybody's; once a reconcile run. Raises `Stopped`."""
        if not self._lists:
            self._page(List(offset=0, limit=1))

    def _page(self, call: List) -> tuple[Answer, Shown]:
        try:
            page = self._made(
                lambda: self._client.requests.page(
                    status=call.status, sort="created_at_desc", limit=call.limit, offset=call.offset
                )
            )
        except (NotFound, Forbidden) as error:
            raise Stopped("refused", str(error)) from error
        self._lists = True
        return api_reading.rows(page, self._now(), call.offset), {shown.id: shown for shown in page.requests}

    def _made(self, call: Callable[[], api_reading.Found]) -> api_reading.Found:
        try:
            found = call()
        except BudgetExhausted as error:
            raise Stopped("budget", str(error), _seconds(error.reset_at)) from error
        except ApiError as error:
            self.made += 1
            if isinstance(error, NotFound | Forbidden):
                raise
            raise Stopped(_trouble(error), str(error), _seconds(getattr(error, "reset_at", None))) from error
        self.made += 1
        return found


def _trouble(error: ApiError) -> Trouble:
    match error:
        case Unauthorized():
            return "key_refused"
        case RateLimited():
            return "rate_limited"
        case Unreachable() | ServerError():
            return "unreachable"
        case Refused():
            return "refused"
    return "unexpected"


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.astimezone(UTC).timestamp()
