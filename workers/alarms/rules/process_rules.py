"""Alarms of stopped work: absent processes, and effects that need a person."""

from collections.abc import Collection

from workers.alarms.alarm import AlarmRule
from workers.alarms.reading import AlarmReading
from workers.inbox.operations.pausing import ALL
from workers.telemetry.quantities import counted, duration, since

#: Seconds that work may be due without a drain: a worker needs some time to start one.
NO_DRAIN = 10.0
#: Seconds that work may be due while drains run.
BACKLOG = 60.0
#: Seconds that a reconcile run may wait for a process: another one may run for 10 seconds before it.
RUN_WAITS = 30.0
#: Seconds after which a stopped web process counts as stopped on purpose.
WEB_GONE = 7 * 86_400.0
#: Seconds that a repair or a conflict counts as recent.
DAY = 86_400.0
#: Handlers that a text names at most.
MAX_NAMES = 5


def _clock_absent(reading: AlarmReading) -> str | None:
    if reading.figures.has_clock or not reading.has_run or not reading.takes_writes:
        return None
    seconds = reading.figures.seconds_since("clock")
    last = "None has run with this Redis yet" if seconds is None else f"The last one stopped {duration(seconds)} ago"
    return f"No clock process runs, so retries and reconcile runs are not enqueued. {last}."


def _web_absent(reading: AlarmReading) -> str | None:
    seconds = reading.figures.seconds_since("web")
    if reading.figures.has_web or seconds is None or seconds > WEB_GONE or not reading.takes_writes:
        return None
    return f"No web process runs, so no delivery is accepted. The last one stopped {duration(seconds)} ago."


def _no_drain(reading: AlarmReading) -> str | None:
    load = reading.load
    if not load.due or load.drains or load.oldest_seconds < NO_DRAIN:
        return None
    return (
        f"{counted(load.due, 'item')} of work {'is' if load.due == 1 else 'are'} due and no worker takes any; the "
        f"oldest has waited for {duration(load.oldest_seconds)}."
    )


def _backlog(reading: AlarmReading) -> str | None:
    load = reading.load
    if not load.drains or load.oldest_seconds < BACKLOG:
        return None
    return (
        f"The oldest of {counted(load.due, 'due item')} has waited for {duration(load.oldest_seconds)}: "
        f"{counted(load.drains, 'drain')} {'does' if load.drains == 1 else 'do'} not keep up."
    )


def _reconcile_worker_absent(reading: AlarmReading) -> str | None:
    if reading.run_waits is None or reading.run_waits < RUN_WAITS:
        return None
    return (
        f"A reconcile run has waited for {duration(reading.run_waits)} and no process takes it: decisions that "
        "webhooks miss are not found, and questions that wait are not asked."
    )


def _dead_letters(reading: AlarmReading) -> str | None:
    if not reading.counts.failed:
        return None
    first = reading.figures.failed_since
    age = "" if first is None else f"; the oldest {since(first, reading.now)}"
    return f"{counted(reading.counts.failed, 'effect')} gave up{age}."


def _handler_missing(reading: AlarmReading) -> str | None:
    figures = reading.figures
    if not reading.load.drains or ALL in figures.paused:
        return None
    missing = {
        name: count
        for name, count in figures.held.items()
        if name not in figures.handlers and name not in figures.paused
    }
    if not missing:
        return None
    count = sum(missing.values())
    wait = "waits" if count == 1 else "wait"
    return f"{counted(count, 'effect')} {wait} for a handler that no worker has: {_names(missing)}."


def _paused(reading: AlarmReading) -> str | None:
    paused = reading.figures.paused
    if not paused:
        return None
    names = "All handlers are" if ALL in paused else f"{_names(paused)} {'is' if len(paused) == 1 else 'are'}"
    held = reading.counts.held
    return f"{names} paused; {counted(held, 'effect')} {'is' if held == 1 else 'are'} held."


def _unsent_fields(reading: AlarmReading) -> str | None:
    warnings = reading.figures.route_warnings
    if not warnings:
        return None
    more = f" {len(warnings) - 1} more of the like." if len(warnings) > 1 else ""
    return f"{warnings[0].rstrip('.')}.{more}"


def _repaired(reading: AlarmReading) -> str | None:
    seconds = reading.figures.seconds_since("repaired")
    if seconds is None or seconds > DAY:
        return None
    return (
        f"The clock repaired unfinished work that would not have gone on, {duration(seconds)} ago; "
        f"{counted(reading.figures.repaired, 'repair')} in all. That is a fault of hitl-receiver, or somebody changed "
        "its keys by hand."
    )


def _names(handlers: Collection[str]) -> str:
    names = sorted(handlers)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


RULES = (
    AlarmRule(
        name="web_absent",
        severity="critical",
        condition="a web process has run in the last 7 days, and none has announced itself for 10 seconds",
        remedy="Start `hitl-receiver serve`, and read its log.",
        check=_web_absent,
    ),
    AlarmRule(
        name="clock_absent",
        severity="critical",
        condition="no clock process has announced itself for 10 seconds",
        remedy="Start `hitl-receiver clock`, and read its log.",
        check=_clock_absent,
    ),
    AlarmRule(
        name="no_drain",
        severity="critical",
        condition=f"work has been due for {NO_DRAIN:.0f} seconds and no worker takes it",
        remedy="Start `hitl-receiver work`, and read its log: broken handlers keep a worker from starting.",
        check=_no_drain,
    ),
    AlarmRule(
        name="backlog",
        severity="warning",
        condition=f"workers run, and the oldest due item has waited for {BACKLOG:.0f} seconds",
        remedy="Run more workers (`hitl-receiver work --processes N`), or find the slow handler with `hitl-receiver "
        "events --state running`.",
        check=_backlog,
    ),
    AlarmRule(
        name="dead_letters",
        severity="warning",
        condition="an effect gave up",
        remedy="List them with `hitl-receiver failed`, repair the cause, then run `hitl-receiver retry`, or "
        "`hitl-receiver discard`.",
        check=_dead_letters,
    ),
    AlarmRule(
        name="handler_missing",
        severity="warning",
        condition="effects are held for a handler that no running worker has and nobody paused",
        remedy="Deploy the handler under that name, or list its effects with `hitl-receiver events --state held` and "
        "discard them.",
        check=_handler_missing,
    ),
    AlarmRule(
        name="paused",
        severity="warning",
        condition="a handler, or all of them, is paused; notices are sent after 15 minutes",
        remedy="Run `hitl-receiver resume` when the reason is gone.",
        check=_paused,
        tell_after=900.0,
    ),
    AlarmRule(
        name="unsent_fields",
        severity="warning",
        condition="without an API key, a route reads fields that a delivery may lack",
        remedy="Set HITL_API_KEY for `work` and `clock`, or change the route; `hitl-receiver routes` names each.",
        check=_unsent_fields,
    ),
    AlarmRule(
        name="reconcile_worker_absent",
        severity="warning",
        condition=f"a reconcile run has waited for {RUN_WAITS:.0f} seconds and no process takes it",
        remedy="Run `hitl-receiver work` with HITL_API_KEY set, or `hitl-receiver work --queue hitl-reconcile`.",
        check=_reconcile_worker_absent,
    ),
    AlarmRule(
        name="repaired",
        severity="warning",
        condition="the clock repaired unfinished work in the last 24 hours",
        remedy="Find `inbox.repaired` in the log of `clock`, and report it with the versions of hitl-receiver and "
        "Redis.",
        check=_repaired,
    ),
)
