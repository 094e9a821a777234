"""Alarms of `status`: what needs a person now, each with what to do. Values in, sentences out."""

import msgspec

from service.cli.durations import counted, since
from workers.reconcile.status import ReconcileStatus

#: Of every alarm that there is.
KINDS = ("overruled", "key_refused", "silent", "rate_limited")


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something is wrong that no reconcile run can repair."""

    #: One of `KINDS`.
    kind: str
    text: str


def alarms(status: ReconcileStatus) -> list[Alarm]:
    """The most urgent first."""
    texts = {
        "overruled": _overruled(status),
        "key_refused": _key_refused(status),
        "silent": _silent(status),
        "rate_limited": _rate_limited(status),
    }
    return [Alarm(kind=kind, text=text) for kind, text in texts.items() if text is not None]


def _overruled(status: ReconcileStatus) -> str | None:
    count = status.counts.recently_overruled
    if not count:
        return None
    return (
        f"Stronger evidence overruled {counted(count, 'event')} in the last 24 h: somebody may know a callback URL or "
        "a webhook secret of yours. List them with `hitl-receiver requests --state overruled`. After an overruled "
        "account webhook, change the secret of the webhook at HITL.sh. After an overruled callback, find out who knows "
        "its URL; a new key in place of those in HITL_CALLBACK_SECRETS invalidates all callback URLs."
    )


def _key_refused(status: ReconcileStatus) -> str | None:
    report = status.state.report
    if report is None or report.trouble != "key_refused":
        return None
    return (
        "HITL.sh refuses the API key, so decisions that the webhooks miss are not found. Set HITL_API_KEY of `work` "
        "and `clock` to a valid key, and check it with `hitl-receiver api test`."
    )


def _silent(status: ReconcileStatus) -> str | None:
    silent_since = status.state.silent_since
    if silent_since is None:
        return None
    return (
        f"Decisions are made, but no webhook delivers them (noticed {since(silent_since, status.counts.now)}). "
        "Check that HITL.sh reaches HITL_PUBLIC_URL and that the webhook secret is right. "
        "`hitl-receiver webhook-health` shows since when."
    )


def _rate_limited(status: ReconcileStatus) -> str | None:
    if not status.is_limited:
        return None
    last = "" if status.limited_at is None else f", the last one {since(status.limited_at, status.counts.now)}"
    return (
        f"HITL.sh answered {counted(status.limited, 'call')} of reconcile runs with 429{last}. Other programs may use "
        "the same API key: give them another key, or leave them more calls with HITL_RECONCILE_SHARE and "
        "HITL_ASK_RESERVE."
    )
