"""Alarms of deliveries: refused, unreadable, unrouted and contradictory ones.

Anybody can post to the endpoints. So a text states the counts, and names a wrong secret as the cause only if the counts
support it.
"""

import re

from workers.alarms.alarm import AlarmRule, Problem
from workers.alarms.reading import AlarmReading
from workers.inbox import counters
from workers.inbox.alarms.alarm_figures import AlarmFigures
from workers.inbox.alarms.recent_counts import RECENTLY
from workers.telemetry.quantities import counted, duration, since

#: Refused deliveries that are too many for one stranger.
REFUSED = 5
#: Seconds without another refusal, and with a verified delivery, after which the cause counts as repaired.
REPAIRED_AFTER = 10.0
DAY = 86_400.0
#: Characters of the key of an event that a text shows.
_LONGEST_KEY = 120
#: Characters that HITL.sh's names and ids, and what we add to them, do not have.
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.:#~-]")

_UNVERIFIED = ("signature_mismatch", "signature_missing", "signature_malformed", "signature_duplicated")
_TOKENS = ("callback_forged", "callback_expired")
_COMPARE = (
    "Compare HITL_WEBHOOK_SECRETS of `serve` with the secret of the webhook at HITL.sh; while you change it, list both "
    "(oldest first) and restart `serve`."
)


def _decisions_refused(reading: AlarmReading) -> Problem | None:
    figures = reading.figures
    count = figures.recent.get("refused_tracked", 0)
    if not count or _is_repaired(figures, ("refused_tracked",)):
        return None
    return Problem(
        f"{counted(count, 'refused delivery', 'refused deliveries')} in {RECENTLY} named open requests of yours, which "
        f"strangers rarely know: they are probably decisions that another secret signed. {_verified(figures)}"
    )


def _deliveries_refused(reading: AlarmReading) -> Problem | None:
    figures = reading.figures
    counts = {reason: figures.recent.get(reason, 0) for reason in _UNVERIFIED}
    total = sum(counts.values())
    if total < REFUSED or _is_repaired(figures, _UNVERIFIED):
        return None
    refused = f"{counted(total, 'delivery', 'deliveries')} to the account webhook could not be verified in {RECENTLY}"
    if counts["signature_mismatch"] * 2 < total:
        return Problem(
            f"{refused}, most of them without a usable signature. {_verified(figures)}",
            "If HITL.sh sent them: give the webhook there a secret, and see that no proxy removes or repeats the "
            "header X-HITL-Signature. Otherwise a stranger posts: nothing needs to be done.",
        )
    if figures.recent.get("verified_signed", 0):
        return Problem(
            f"{refused}: their signature matches no secret of yours. {_verified(figures)} So one secret works, and "
            "either another webhook at HITL.sh has another secret, or a stranger posts.",
            f"Look at HITL.sh whether a second webhook, or a second account, posts here. {_COMPARE}",
        )
    last = figures.seconds_since("verified_signed")
    if last is None:
        cause = "None has ever been verified here, so HITL_WEBHOOK_SECRETS may be mistyped; or a stranger posts."
    else:
        cause = (
            f"The last one that could be was {duration(last)} ago: the secret may have been changed at HITL.sh, or "
            "changed or removed here, since then; or a stranger posts."
        )
    return Problem(f"{refused}: their signature matches no secret of yours. {cause}")


def _callbacks_refused(reading: AlarmReading) -> Problem | None:
    figures = reading.figures
    forged, expired = (figures.recent.get(reason, 0) for reason in _TOKENS)
    if forged + expired < REFUSED:
        return None
    refused = (
        f"{counted(forged + expired, 'callback')} {'was' if forged + expired == 1 else 'were'} refused in {RECENTLY}"
    )
    if expired > forged:
        return Problem(
            f"{refused}, {expired:,} of them for a token that is too old.",
            "Look in `hitl-receiver requests` for requests that stay open longer than 40 days; their decisions are "
            "found by reconcile runs alone.",
        )
    verified = figures.recent.get("verified_callback", 0)
    if verified:
        cause = (
            f"{counted(verified, 'other')} could be verified: an older key may be missing, or a stranger guesses URLs"
        )
    else:
        cause = "none could be verified: the key that signed their URLs may be missing, or a stranger guesses URLs"
    return Problem(
        f"{refused}, {forged:,} of them for a token that no key of HITL_CALLBACK_SECRETS has signed; {cause}."
    )


def _quarantined(reading: AlarmReading) -> str | None:
    count, first = reading.counts.quarantined, reading.figures.quarantined_since
    if not count:
        return None
    age = "" if first is None else f"; the oldest came {since(first, reading.now)}"
    return f"{counted(count, 'verified delivery', 'verified deliveries')} cannot be read{age}."


def _unrouted(reading: AlarmReading) -> str | None:
    count = reading.figures.unrouted_decisions
    if not count:
        return None
    total = reading.counts.unrouted_decisions
    return f"No route wanted {counted(count, 'decision')} of the last 24 h; {total:,} are stored in all."


def _over_quota(reading: AlarmReading) -> str | None:
    count = reading.figures.recent.get("over_quota", 0)
    if not count:
        return None
    return f"{counted(count, 'delivery', 'deliveries')} in {RECENTLY} went beyond a quota, and nothing of it is stored."


def _overruled(reading: AlarmReading) -> str | None:
    count = reading.reconciliation.counts.recently_overruled
    if not count:
        return None
    return (
        f"Stronger evidence overruled {counted(count, 'event')} in the last 24 h: somebody may know a callback URL or "
        "a webhook secret of yours."
    )


def _conflicts(reading: AlarmReading) -> str | None:
    seconds = reading.figures.seconds_since(counters.CONFLICTS)
    if seconds is None or seconds > DAY:
        return None
    return (
        "A request that was decided got another outcome, which is no stronger evidence, so the first one stands. The "
        f"last time was {duration(seconds)} ago: {_latest_event(reading, counters.CONFLICTS)}."
    )


def _callback_misused(reading: AlarmReading) -> str | None:
    seconds = reading.figures.seconds_since(counters.MISUSES)
    if seconds is None or seconds > DAY:
        return None
    return (
        f"A callback URL delivered an event that it may not report, the last time {duration(seconds)} ago: "
        f"{_latest_event(reading, counters.MISUSES)}. Somebody may know a callback URL of yours. The event was stored "
        "and not handled."
    )


def _latest_event(reading: AlarmReading, reason: str) -> str:
    """Names and ids are text of the sender: no link, markup or mention of it reaches a chat."""
    key = _UNUSUAL.sub("?", reading.figures.latest_events.get(reason, ""))
    return f"event {key if len(key) <= _LONGEST_KEY else key[:_LONGEST_KEY] + '…'}"


def _is_repaired(figures: AlarmFigures, reasons: tuple[str, ...]) -> bool:
    """Whether a delivery was verified some seconds after the last refusal for one of these reasons."""
    refused = max((figures.latest.get(reason, 0.0) for reason in reasons), default=0.0)
    return figures.latest.get("verified_signed", 0.0) - refused > REPAIRED_AFTER


def _verified(figures: AlarmFigures) -> str:
    count = figures.recent.get("verified_signed", 0)
    if count:
        return f"{counted(count, 'other')} could be verified."
    seconds = figures.seconds_since("verified_signed")
    return "None was verified." if seconds is None else f"None was verified for {duration(seconds)}."


RULES = (
    AlarmRule(
        name="decisions_refused",
        severity="critical",
        condition="a refused delivery of the last 15 minutes names an open request",
        remedy=_COMPARE,
        check=_decisions_refused,
    ),
    AlarmRule(
        name="deliveries_refused",
        severity="warning",
        condition=f"{REFUSED} deliveries to the account webhook could not be verified in the last 15 minutes",
        remedy=_COMPARE,
        check=_deliveries_refused,
    ),
    AlarmRule(
        name="callbacks_refused",
        severity="warning",
        condition=f"{REFUSED} callbacks of the last 15 minutes had a token that is expired or that no key has signed",
        remedy="Keep every key that signed URLs of open requests in HITL_CALLBACK_SECRETS, oldest first, for 40 days.",
        check=_callbacks_refused,
    ),
    AlarmRule(
        name="over_quota",
        severity="warning",
        condition="deliveries of the last 15 minutes were not stored because of a quota",
        remedy="See `delivery.over_quota` in the log of `serve`. Where a callback URL leaked, ask with a new one.",
        check=_over_quota,
    ),
    AlarmRule(
        name="quarantined",
        severity="warning",
        condition="verified deliveries cannot be read",
        remedy="List them with `hitl-receiver events --state quarantined`; replay them after an upgrade, or discard "
        "them.",
        check=_quarantined,
    ),
    AlarmRule(
        name="unrouted_decisions",
        severity="warning",
        condition="no route matched a decision of the last 24 hours",
        remedy="List them with `hitl-receiver events --state unrouted`, add a route, then run `hitl-receiver replay "
        "--unrouted`.",
        check=_unrouted,
    ),
    AlarmRule(
        name="overruled",
        severity="warning",
        condition="stronger evidence overruled an outcome in the last 24 hours",
        remedy="List them with `hitl-receiver requests --state overruled`. After an overruled account webhook, change "
        "the secret of the webhook at HITL.sh. After an overruled callback, find out who knows its URL; a new key in "
        "place of those in HITL_CALLBACK_SECRETS invalidates all callback URLs.",
        check=_overruled,
    ),
    AlarmRule(
        name="conflicts",
        severity="warning",
        condition="a decided request got another outcome, which is no stronger evidence, in the last 24 hours",
        remedy="Compare both outcomes with `hitl-receiver show REQUEST`, where REQUEST is in the name of the event. "
        "`delivery.accepted` with verdict=conflict in the log of `serve` names earlier ones.",
        check=_conflicts,
    ),
    AlarmRule(
        name="callback_misused",
        severity="warning",
        condition="a callback URL delivered an event that it may not report, in the last 24 hours",
        remedy="List them with `hitl-receiver events --state misused`, and find out who knows the URL.",
        check=_callback_misused,
    ),
)
