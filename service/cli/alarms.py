"""What a person must know first of all, each with where to look. Values in, sentences out."""

import msgspec

from service.cli.durations import counted, since
from workers.reconcile.status import ReconcileStatus


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something is wrong that no reconcile run puts right."""

    #: silent, overruled, key_refused or rate_limited.
    kind: str
    text: str


def alarms(found: ReconcileStatus) -> list[Alarm]:
    """The most urgent first."""
    texts = {
        "overruled": _overruled(found),
        "key_refused": _key_refused(found),
        "silent": _silent(found),
        "rate_limited": _limited(found),
    }
    return [Alarm(kind=kind, text=text) for kind, text in texts.items() if text is not None]


def _overruled(found: ReconcileStatus) -> str | None:
    count = found.counts.recently_overruled
    if not count:
        return None
    return (
        f"Stronger evidence overruled {counted(count, 'event')} in the last 24 h: somebody may know a callback URL or "
        "a webhook secret of yours. Look at `hitl-receiver requests --state overruled`: after a signed one, change "
        "the secret of the webhook at HITL.sh; after a callback, see who has its URL (a new key in place of those in "
        "HITL_CALLBACK_SECRETS ends all of them)."
    )


def _key_refused(found: ReconcileStatus) -> str | None:
    report = found.state.report
    if report is None or report.trouble != "key_refused":
        return None
    return (
        "HITL.sh refuses the API key, so nothing that the webhooks miss is found: put a key that works in "
        "HITL_API_KEY of `work` and `clock`, and see `hitl-receiver api test`."
    )


def _silent(found: ReconcileStatus) -> str | None:
    silent_since = found.state.silent_since
    if silent_since is None:
        return None
    return (
        f"Decisions are made, but no webhook delivers them (noticed {since(silent_since, found.counts.now)}). "
        "Check that HITL.sh reaches HITL_PUBLIC_URL and that the webhook secret is right. "
        "`hitl-receiver webhook-health` shows since when."
    )


def _limited(found: ReconcileStatus) -> str | None:
    if not found.is_limited:
        return None
    last = "" if found.limited_at is None else f", the last {since(found.limited_at, found.counts.now)}"
    return (
        f"HITL.sh refused {counted(found.limited, 'call')} of reconcile runs with 429{last}: other programs may use "
        "the same API key. Give them another key, or leave them more calls: HITL_RECONCILE_SHARE, HITL_ASK_RESERVE."
    )
