"""Every metric: its name with its unit, its labels, and what it says. docs/metrics.md is made of this."""

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

#: Seconds. The short ones are for storing and settling, the long ones for handlers.
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LONG = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as Prometheus shows it."""

    name: str
    kind: Kind
    #: What it says, in a sentence without a full stop.
    text: str
    labels: tuple[str, ...] = ()
    #: Of a histogram: upper bounds in its unit.
    buckets: tuple[float, ...] = ()


# -- each delivery and each effect ------------------------------------------------------------------------

DELIVERIES = Metric(
    name="hitl_deliveries_total",
    kind="counter",
    labels=("reason",),
    text="Deliveries by the reason of their answer: accepted, duplicate, unrouted, signature_mismatch and others",
)
ACCEPT_SECONDS = Metric(
    name="hitl_accept_seconds",
    kind="histogram",
    buckets=SHORT,
    text="From the verification of a delivery until it is stored",
)
HANDLER_WAIT_SECONDS = Metric(
    name="hitl_handler_wait_seconds",
    kind="histogram",
    buckets=LONG,
    text="From the arrival of a delivery until a handler begins its first attempt; by the clocks of both hosts",
)
HANDLER_SECONDS = Metric(
    name="hitl_handler_seconds",
    kind="histogram",
    labels=("handler",),
    buckets=LONG,
    text="How long an attempt of a handler ran",
)
SETTLE_SECONDS = Metric(
    name="hitl_settle_seconds",
    kind="histogram",
    buckets=SHORT,
    text="From the end of a handler until its outcome is recorded",
)
EFFECTS = Metric(
    name="hitl_effects_total",
    kind="counter",
    labels=("handler", "outcome"),
    text="Attempts by their outcome: done, retry, failed, skipped, held, unconfirmed; lost without the lease",
)
REFUSED_TRACKED = Metric(
    name="hitl_refused_tracked_total",
    kind="counter",
    text="Refused deliveries that name a tracked request: a secret is probably wrong",
)
CONFLICTS = Metric(
    name="hitl_conflicts_total",
    kind="counter",
    text="Outcomes that differ from the decision of their request and are no stronger evidence",
)
MISUSES = Metric(
    name="hitl_callback_misuses_total",
    kind="counter",
    text="Events that were delivered to a callback URL which may not report them",
)
JOBS_REFUSED = Metric(
    name="hitl_jobs_refused_total", kind="counter", text="RQ jobs in the queues that are not of hitl-receiver"
)
REPAIRS = Metric(
    name="hitl_repairs_total", kind="counter", text="Unfinished work that would not have gone on, repaired by the clock"
)
RATE_LIMITED = Metric(
    name="hitl_api_rate_limited_total", kind="counter", text="Answers of 429 to calls of reconcile runs"
)
WEB_BEATS = Metric(
    name="hitl_web_beats_total", kind="counter", text="Counted once a second by each web process that reaches Redis"
)

# -- the state at the moment of the scrape ----------------------------------------------------------------

REDIS_UP = Metric(name="hitl_redis_up", kind="gauge", text="1 if Redis answers; at 0 no other metric is shown")
DUE = Metric(name="hitl_due_items", kind="gauge", text="Events to route and effects to run that are due now")
SCHEDULED = Metric(name="hitl_scheduled_items", kind="gauge", text="Items that are due later: leased ones, and retries")
OLDEST_DUE = Metric(
    name="hitl_oldest_due_seconds", kind="gauge", text="How long the oldest due item has been due; 0 if none is"
)
LEASES = Metric(name="hitl_leases", kind="gauge", text="Items that workers hold")
DRAINS = Metric(name="hitl_drains", kind="gauge", text="Resident drains")
JOBS_WAITING = Metric(name="hitl_jobs_waiting", kind="gauge", labels=("queue",), text="RQ jobs that wait for a worker")
EVENTS = Metric(name="hitl_events", kind="gauge", text="Events in the inbox")
FAILED = Metric(name="hitl_dead_letters", kind="gauge", text="Effects that gave up")
HELD = Metric(name="hitl_held_effects", kind="gauge", text="Effects whose handler is missing or paused")
PAUSED = Metric(name="hitl_paused_handlers", kind="gauge", text="Paused handlers; a pause of all counts as one")
QUARANTINED = Metric(name="hitl_quarantined_events", kind="gauge", text="Verified deliveries that cannot be read")
OPEN_REQUESTS = Metric(name="hitl_open_requests", kind="gauge", text="Tracked requests without an outcome")
OLDEST_OPEN = Metric(
    name="hitl_oldest_open_request_seconds", kind="gauge", text="Age of the oldest open request; 0 if none is open"
)
UNCONFIRMED = Metric(
    name="hitl_unconfirmed_effects", kind="gauge", text="Effects that wait until HITL.sh confirms the outcome"
)
OVERRULED = Metric(
    name="hitl_overruled_events_24h",
    kind="gauge",
    text="Outcomes that stronger evidence overruled in the last 24 hours",
)
LOST = Metric(name="hitl_lost_requests", kind="gauge", text="Tracked requests that HITL.sh does not know any more")
DECISIONS = Metric(
    name="hitl_decisions_24h",
    kind="gauge",
    labels=("by",),
    text="Decisions of the last 24 hours: by webhook, by reconcile run, and overtaken (its webhook came later)",
)
CALLS_LEFT = Metric(
    name="hitl_api_calls_left",
    kind="gauge",
    labels=("use",),
    text="API calls left in this hour: to ask, for a routine run, for a run on overdue requests; only with an API key",
)
CALL_LIMIT = Metric(name="hitl_api_call_limit", kind="gauge", text="API calls of an hour; only with an API key")
CHECK_INTERVAL = Metric(
    name="hitl_check_interval_seconds",
    kind="gauge",
    text="Every open request is checked at least this often; only after a reconcile run",
)
RECONCILE_FAILURES = Metric(
    name="hitl_reconcile_failures", kind="gauge", text="Reconcile runs in a row that ended early; 0 after a good one"
)
RECONCILE_AGE = Metric(
    name="hitl_last_reconcile_age_seconds", kind="gauge", text="Since the latest reconcile run; only after one"
)
MEMORY = Metric(name="hitl_redis_memory_bytes", kind="gauge", text="Memory that Redis uses")
MEMORY_LIMIT = Metric(name="hitl_redis_memory_limit_bytes", kind="gauge", text="maxmemory of Redis; 0 for no limit")
ALARM = Metric(
    name="hitl_alarm",
    kind="gauge",
    labels=("alarm", "severity"),
    text="1 while an [alarm](alarms.md) is raised",
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
