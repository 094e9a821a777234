"""Alarms of webhooks and of the calls to HITL.sh."""

from workers.alarms.alarm import AlarmRule, Problem
from workers.alarms.reading import AlarmReading
from workers.telemetry.quantities import counted, duration, since

#: Consecutive reconcile runs that ended early; a single one is no alarm.
FAILURES = 3
#: Share of the hour's calls below which few are left.
FEW_CALLS = 0.1


def _webhooks_silent(reading: AlarmReading) -> str | None:
    silent_since = reading.reconciliation.silent_since
    if silent_since is None:
        return None
    return f"Decisions are made, but no webhook delivers them (noticed {since(silent_since, reading.now)})."


def _key_refused(reading: AlarmReading) -> str | None:
    report = reading.reconciliation.state.report
    if report is None or report.trouble != "key_refused":
        return None
    return "HITL.sh refuses the API key, so decisions that the webhooks miss are not found, and nothing can be asked."


def _hitl_unreachable(reading: AlarmReading) -> str | None:
    return _failing(reading, "HITL.sh cannot be reached", "unreachable")


def _reconcile_failing(reading: AlarmReading) -> str | None:
    return _failing(reading, "Reconcile runs fail", "refused", "unexpected")


def _failing(reading: AlarmReading, what: str, *troubles: str) -> str | None:
    state = reading.reconciliation.state
    report = state.report
    if report is None or report.trouble not in troubles or state.failures < FAILURES:
        return None
    error = f": {report.error}" if report.error else ""
    ended = since(report.ended or report.began, reading.now)
    return f"{what}: {counted(state.failures, 'run')} in a row ended early, the last one {ended}{error}."


def _rate_limited(reading: AlarmReading) -> str | None:
    status = reading.reconciliation
    if not status.is_limited:
        return None
    last = "" if status.limited_at is None else f", the last one {since(status.limited_at, reading.now)}"
    return f"HITL.sh answered {counted(status.limited, 'call')} of reconcile runs with 429{last}."


def _calls_short(reading: AlarmReading) -> str | None:
    calls = reading.reconciliation.calls
    if calls is None or calls.resets_at is None or calls.asking > FEW_CALLS * calls.limit:
        return None
    left = duration(max(0.0, calls.resets_at - reading.now))
    return (
        f"{calls.asking:,} of {calls.limit:,} API calls are left for the next {left}: {calls.asked:,} were used to ask "
        f"and {calls.reconciled:,} by reconcile runs."
    )


def _check_interval(reading: AlarmReading) -> str | None:
    warning = reading.reconciliation.state.warning
    return None if warning is None else f"Open requests are checked too rarely: {warning}."


def _unreachable_requests(reading: AlarmReading) -> Problem | None:
    count = reading.reconciliation.counts.unreachable
    if not count:
        return None
    return Problem(f"{counted(count, 'open request')} belong to an API key that is no longer polled.")


RULES = (
    AlarmRule(
        name="webhooks_silent",
        severity="critical",
        condition="decisions are made, and no webhook has delivered one for an hour",
        remedy="Run `hitl-receiver doctor --prove` with the URL of the webhook at HITL.sh: it shows whether that URL "
        "leads here, and whether the secret is right. `hitl-receiver webhook-health` shows since when.",
        check=_webhooks_silent,
    ),
    AlarmRule(
        name="key_refused",
        severity="critical",
        condition="HITL.sh refused the API key in the latest reconcile run",
        remedy="Set HITL_API_KEY of `work` and `clock` to a valid key, and check it with `hitl-receiver api test`.",
        check=_key_refused,
    ),
    AlarmRule(
        name="hitl_unreachable",
        severity="warning",
        condition=f"{FAILURES} reconcile runs in a row did not reach HITL.sh",
        remedy="Check the network of `work`, HITL_BASE_URL and the state of HITL.sh; then `hitl-receiver api test`. "
        "Decisions still arrive by webhook.",
        check=_hitl_unreachable,
    ),
    AlarmRule(
        name="reconcile_failing",
        severity="warning",
        condition=f"{FAILURES} reconcile runs in a row ended early because of an answer of HITL.sh",
        remedy="See `reconcile.stopped` in the log of `work`, and `hitl-receiver reconcile --dry-run`.",
        check=_reconcile_failing,
    ),
    AlarmRule(
        name="rate_limited",
        severity="warning",
        condition="HITL.sh answered a reconcile run with 429 in the last 24 hours",
        remedy="Other programs may use the same API key: give them another key, or leave them more calls with "
        "HITL_RECONCILE_SHARE and HITL_ASK_RESERVE.",
        check=_rate_limited,
    ),
    AlarmRule(
        name="calls_short",
        severity="warning",
        condition=f"no more than {FEW_CALLS:.0%} of the hour's API calls are left",
        remedy="Ask less, raise the limit of the API key, or lower HITL_RECONCILE_SHARE.",
        check=_calls_short,
    ),
    AlarmRule(
        name="check_interval",
        severity="warning",
        condition="the API calls do not suffice to check every open request within HITL_CHECK_WITHIN",
        remedy="Raise HITL_RECONCILE_SHARE or HITL_CHECK_WITHIN, or the limit of the API key.",
        check=_check_interval,
    ),
    AlarmRule(
        name="requests_unreachable",
        severity="warning",
        condition="open requests belong to an API key that is no longer polled",
        remedy="List that key in HITL_API_KEYS until they have ended; `hitl-receiver requests --state unreachable` "
        "names them.",
        check=_unreachable_requests,
    ),
)
