"""Reads everything that alarms, `status` and metrics show."""

import msgspec
from redis import Redis

from workers.inbox.alarms import alarm_figures
from workers.inbox.alarms.alarm_figures import AlarmFigures
from workers.inbox.queries import inbox_counts, inbox_load
from workers.inbox.queries.inbox_counts import InboxCounts
from workers.inbox.queries.inbox_load import InboxLoad
from workers.queue import DRAIN, RECONCILE, count_waiting, waiting_seconds
from workers.reconcile.status import ReconcileStatus, read_status
from workers.redis_checks import write_refusal
from workers.settings import Settings


class AlarmReading(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the inbox, its server and reconciliation at one time."""

    counts: InboxCounts
    load: InboxLoad
    figures: AlarmFigures
    reconciliation: ReconcileStatus
    #: RQ jobs that wait for a worker.
    waiting_drains: int
    waiting_runs: int
    #: How long the oldest reconcile run has waited for a process; None if none waits.
    run_waits: float | None
    #: From the settings of the process that reads.
    has_api_key: bool

    @property
    def now(self) -> float:
        """The inbox clock, in seconds since 1970."""
        return self.figures.now

    @property
    def takes_writes(self) -> bool:
        """The server takes writes; otherwise no process can announce itself."""
        figures = self.figures
        return figures.info.get("role") != "slave" and write_refusal(figures.info, figures.config) is None

    @property
    def has_run(self) -> bool:
        """A process of ours has used this Redis before: it is not empty."""
        return bool(self.figures.latest or self.counts.events)


def read(settings: Settings, redis: Redis) -> AlarmReading:
    """Read it, in about twenty round trips for any amount of data."""
    reconciliation = read_status(settings, redis)
    now = reconciliation.counts.now
    return AlarmReading(
        counts=inbox_counts.read(redis),
        load=inbox_load.read(redis, now),
        figures=alarm_figures.read(redis, now),
        reconciliation=reconciliation,
        waiting_drains=count_waiting(redis, DRAIN),
        waiting_runs=count_waiting(redis, RECONCILE),
        run_waits=waiting_seconds(redis, RECONCILE),
        has_api_key=settings.api_key is not None,
    )
