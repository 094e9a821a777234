"""The gauges: the state of the inbox and of reconciliation at one moment."""

from collections.abc import Iterator
from typing import NamedTuple

from redis import Redis

from workers.alarms import reading as alarm_reading
from workers.alarms.reading import AlarmReading
from workers.alarms.rules import all_rules
from workers.queue import DRAIN, RECONCILE
from workers.reconcile.status import ReconcileStatus
from workers.settings import Settings
from workers.telemetry import metric_catalog as catalog
from workers.telemetry.metric_catalog import Metric


class Figure(NamedTuple):
    """One value of a metric."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


def read(redis: Redis, settings: Settings) -> list[Figure]:
    """About twenty round trips, however much there is."""
    reading = alarm_reading.read(settings, redis)
    return [*_inbox(reading), *_reconciliation(reading.reconciliation), *_alarms(reading)]


def _inbox(reading: AlarmReading) -> Iterator[Figure]:
    counts, load = reading.counts, reading.load
    yield Figure(catalog.DUE, load.due)
    yield Figure(catalog.SCHEDULED, counts.due - load.due)
    yield Figure(catalog.OLDEST_DUE, load.oldest_seconds)
    yield Figure(catalog.LEASES, counts.leased)
    yield Figure(catalog.DRAINS, load.drains)
    yield Figure(catalog.EVENTS, counts.events)
    yield Figure(catalog.FAILED, counts.failed)
    yield Figure(catalog.HELD, counts.held)
    yield Figure(catalog.QUARANTINED, counts.quarantined)
    yield Figure(catalog.PAUSED, len(reading.figures.paused))
    for kind, waiting in ((DRAIN, reading.waiting_drains), (RECONCILE, reading.waiting_runs)):
        yield Figure(catalog.JOBS_WAITING, waiting, (kind.queue,))
    yield Figure(catalog.MEMORY, load.memory_used)
    yield Figure(catalog.MEMORY_LIMIT, load.memory_limit)


def _reconciliation(status: ReconcileStatus) -> Iterator[Figure]:
    counts, state = status.counts, status.state
    yield Figure(catalog.OPEN_REQUESTS, counts.open)
    yield Figure(catalog.OLDEST_OPEN, 0.0 if counts.oldest_at is None else max(0.0, counts.now - counts.oldest_at))
    yield Figure(catalog.UNCONFIRMED, counts.unconfirmed)
    yield Figure(catalog.OVERRULED, counts.recently_overruled)
    yield Figure(catalog.LOST, counts.lost)
    yield Figure(catalog.DECISIONS, status.webhooks.webhook, ("webhook",))
    yield Figure(catalog.DECISIONS, status.webhooks.reconcile, ("reconcile",))
    yield Figure(catalog.DECISIONS, status.webhooks.overtaken, ("overtaken",))
    yield Figure(catalog.RECONCILE_FAILURES, state.failures)
    if status.calls is not None:
        yield Figure(catalog.CALL_LIMIT, status.calls.limit)
        yield Figure(catalog.CALLS_LEFT, status.calls.asking, ("asking",))
        yield Figure(catalog.CALLS_LEFT, status.calls.routine, ("routine",))
        yield Figure(catalog.CALLS_LEFT, status.calls.overdue, ("overdue",))
    if state.guaranteed_interval is not None:
        yield Figure(catalog.CHECK_INTERVAL, state.guaranteed_interval)
    if state.report is not None:
        ended = state.report.ended or state.report.began
        yield Figure(catalog.RECONCILE_AGE, max(0.0, counts.now - ended))


def _alarms(reading: AlarmReading) -> Iterator[Figure]:
    """Every alarm, raised or not, so that a rule sees one that goes away."""
    raised = {alarm.name for alarm in all_rules.evaluate(reading)}
    for rule in all_rules.RULES:
        yield Figure(catalog.ALARM, rule.name in raised, (rule.name, rule.severity))
