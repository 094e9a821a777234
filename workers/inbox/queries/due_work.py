"""What is due now: drains, reconcile runs, questions. The clock reads it once a second, in one round trip."""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis import Redis

from workers.inbox import keys
from workers.inbox.tracker import reconcile_state
from workers.inbox.tracker.api_keys import DISCOVERY, KeyIndexes

#: Milliseconds: work that has been due for longer justifies a second drain.
BACKLOG = 1_000


class DueChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The due checks of one API key."""

    count: int
    #: Discovery with this key is scheduled, now or for later.
    has_discovery: bool
    #: Seconds since 1970: no call is made before, because of an error of HITL.sh.
    rests_until: float


class DueWork(msgspec.Struct, frozen=True, kw_only=True):
    """Counts at one moment."""

    #: The inbox clock in seconds since 1970.
    now: float
    #: Effects and events to route that are due, and those that have been due for more than `BACKLOG`.
    due: int
    overdue: int
    #: Resident drains.
    drains: int
    #: A reconcile run is active, or runs are held off.
    is_reconciling: bool
    #: A person resumed handlers, and no drain has carried that out yet.
    has_resumes: bool
    #: Questions that are to be asked, repaired or escalated.
    has_questions: bool
    #: One for each polled API key.
    checks: tuple[DueChecks, ...]

    @property
    def needs_drain(self) -> bool:
        """Work is due and no drain is resident, or work has been due for longer than `BACKLOG`."""
        return bool(self.overdue or ((self.due or self.has_resumes) and not self.drains))

    def may_reconcile(self, checks: DueChecks) -> bool:
        """No reconcile run is active, and no pause after an error with this key is under way."""
        return not self.is_reconciling and checks.rests_until <= self.now


def read(redis: Redis, polled: Sequence[KeyIndexes], now: float) -> DueWork:
    """Read what is due. `polled`: indexes of the polled API keys. `now`: the inbox clock in seconds since 1970."""
    milliseconds = int(now * 1000)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zcount(keys.DUE, "-inf", milliseconds)
        pipe.zcount(keys.DUE, "-inf", milliseconds - BACKLOG)
        pipe.zcount(keys.DRAINS, milliseconds, "+inf")
        pipe.exists(keys.RECONCILE_LEASE)
        pipe.exists(keys.RESUMES)
        pipe.zcount(keys.QUESTIONS_DUE, "-inf", milliseconds)
        for indexes in polled:
            pipe.zcount(indexes.checks, "-inf", milliseconds)
            pipe.zscore(indexes.checks, DISCOVERY)
            reconcile_state.queue_times(pipe, indexes)
        due, overdue, drains, reconciling, resumes, questions, *rest = pipe.execute()
    replies = iter(rest)
    return DueWork(
        now=now,
        due=due,
        overdue=overdue,
        drains=drains,
        is_reconciling=bool(reconciling),
        has_resumes=bool(resumes),
        has_questions=bool(questions),
        checks=tuple(_checks(*values) for values in zip(replies, replies, replies, strict=True)),
    )


def _checks(count: int, discovery: float | None, times: list[Any]) -> DueChecks:
    return DueChecks(
        count=count,
        has_discovery=discovery is not None,
        rests_until=reconcile_state.times(times).rests_until,
    )
