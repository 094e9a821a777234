"""When requests and discovery are due next, after a reconcile run. Pure."""

import msgspec

from workers.inbox.tracker.tracked_requests import TrackedRequest
from workers.reconcile import snapshot
from workers.reconcile.planning.discovery import Horizon
from workers.reconcile.snapshot import Snapshot

#: Seconds until the next run if checks are due and no call can be made.
CALL_RETRY = 60.0


class NextChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The times of the next checks. Times are seconds since 1970, by the inbox clock."""

    snapshot: Snapshot
    #: When the run began, and the present time.
    began: float
    now: float
    #: When the next run checks what this run left unsettled; None for no special time.
    retry_at: float | None
    #: No call for unverified requests is made before this time.
    unverified_at: float

    def of_discovery(self, horizon: Horizon | None) -> float:
        """When discovery is due; None for the horizon before the first one."""
        return self._not_before_retry(horizon.due_at(self.snapshot.interval) if horizon is not None else 0.0)

    def of_request(self, tracked: TrackedRequest) -> float:
        """When the request is due for a check."""
        if tracked.hold > self.now:
            return tracked.hold
        if not tracked.unverified:
            return self._routine_check(tracked)
        soonest = max(self._not_before_retry(self.now), self.unverified_at)
        return soonest if snapshot.is_only_claimed(tracked) else min(soonest, self._routine_check(tracked))

    def _routine_check(self, tracked: TrackedRequest) -> float:
        intervals = self.snapshot.intervals
        due = intervals.due_at(snapshot.scheduled(tracked))
        if due <= self.now and self.snapshot.deferred_for_batching and self.retry_at is None:
            return max(self.now + CALL_RETRY, self.snapshot.plan.retry_at or intervals.late_at(tracked.request))
        return self._not_before_retry(due)

    def _not_before_retry(self, due: float) -> float:
        """`due`, or the time when calls are possible again if that is later."""
        if due > self.now:
            return due
        if self.retry_at is not None:
            return self.retry_at
        # A request that was checked at the start of this run may be due again at its end.
        return due if due > self.began else self.now + CALL_RETRY
