"""The lines that `dev` prints for deliveries and attempts, as they happen."""

import time
from collections.abc import Callable

import click

from service.cli.durations import elapsed
from service.cli.output import echo
from workers.telemetry.activity import Activity, AttemptEnded, DeliveryAnswered

#: Seconds that the line of a delivery waits for its first handler to end, so that both are on one line.
HANDLER_SECONDS = 0.3
#: Seconds that the line of an attempt waits for the answer to its delivery, because a quick handler may end before it.
ANSWER_SECONDS = 0.1

#: Texts of answers by reason, for the developer.
_HINTS = {
    "signature_missing": "it is not signed: is a secret set for the webhook at HITL.sh?",
    "signature_malformed": "its signature is no HMAC-SHA256 in hex",
    "signature_duplicated": "it has more than one signature",
    "signature_mismatch": "is HITL_WEBHOOK_SECRETS right?",
    "callback_malformed": "the token in its URL was cut or changed",
    "callback_forged": "its token was signed with another key: is HITL_CALLBACK_SECRETS right?",
    "callback_expired": "its callback URL is older than 40 days",
    "body_too_large": "it is larger than HITL_MAX_BODY",
    "body_too_slow": "its body did not come in time",
    "not_found": "HITL.sh posts to /webhooks/hitl and /callbacks/TOKEN",
    "method_not_allowed": "HITL.sh uses POST",
    "not_json": "its body is verified but no JSON; it is quarantined",
    "unknown_shape": "its body is verified but has no known form; it is quarantined",
    "unrouted": "no route matches it",
    "duplicate": "it was received before",
    "conflict": "another outcome of its request was received before",
    "overruled": "stronger evidence disagrees",
    "stale": "it ended too long ago to be routed",
    "misused": "its callback URL may not report it",
    "over_quota": "its callback URL has used up its quota",
    "redis_unreachable": "Redis does not answer",
    "redis_full": "Redis is full",
    "redis_slow": "Redis is slow",
}
_COLORS = {"done": "green", "failed": "red", "retry": "red"}
#: Reasons of deliveries that reach handlers.
_ROUTED = {"accepted", "conflict"}
#: Texts of the ends of attempts; done, retry and failed are followed by the duration.
_END_TEXTS = {
    "retry": "failed",
    "failed": "gave up",
    "skipped": "skipped: its conditions do not hold",
    "held": "held: no handler has this name",
    "unconfirmed": "waits for confirmation",
    "incomplete": "waits for the details of its request",
    "released": "given back: the worker stops",
}


class ActivityLines:
    """Prints one line for each delivery and each attempt. Not thread-safe: one thread calls it."""

    def __init__(self, prefix: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix
        self._clock = clock
        #: What waits for its other half, by event key, and until when: accepted deliveries, and attempts that ended
        #: before their delivery was answered.
        self._deliveries: dict[str, tuple[float, DeliveryAnswered]] = {}
        self._attempts: dict[str, tuple[float, AttemptEnded]] = {}

    def show(self, activity: Activity) -> None:
        self.print_overdue()
        if isinstance(activity, AttemptEnded):
            self._show_attempt(activity)
        else:
            self._show_delivery(activity)

    def print_overdue(self) -> None:
        """Print the lines that have waited long enough."""
        now = self._clock()
        for key in [key for key, (until, _) in self._deliveries.items() if until <= now]:
            self._print(self._deliveries.pop(key)[1])
        for key in [key for key, (until, _) in self._attempts.items() if until <= now]:
            self._print(None, self._attempts.pop(key)[1])

    def _show_attempt(self, attempt: AttemptEnded) -> None:
        key = attempt.event_key
        if key in self._deliveries:
            self._print(self._deliveries.pop(key)[1], attempt)
            return
        if key in self._attempts:
            self._print(None, self._attempts.pop(key)[1])
        self._attempts[key] = (self._clock() + ANSWER_SECONDS, attempt)

    def _show_delivery(self, delivery: DeliveryAnswered) -> None:
        key = delivery.event_key
        if delivery.reason not in _ROUTED:
            self._print(delivery)
        elif key in self._attempts:
            self._print(delivery, self._attempts.pop(key)[1])
        else:
            self._deliveries[key] = (self._clock() + HANDLER_SECONDS, delivery)

    def _print(self, delivery: DeliveryAnswered | None, attempt: AttemptEnded | None = None) -> None:
        if attempt is not None:
            text, color = attempt_text(attempt), _COLORS.get(attempt.end)
        else:
            assert delivery is not None
            text, color = answer_text(delivery), None
        if delivery is not None and color != "red":
            color = "green" if delivery.status < 300 else "red"
        mark = "   " if delivery is None else click.style(str(delivery.status), fg=color)
        echo(text, prefix=f"{self._prefix}{mark} ")


def answer_text(delivery: DeliveryAnswered) -> str:
    """``signature_mismatch: is HITL_WEBHOOK_SECRETS right?``."""
    hint = _HINTS.get(delivery.reason)
    reason = f"{delivery.reason}: {hint}" if hint else delivery.reason
    if not delivery.event_key:
        return reason
    event = event_text(delivery.event, delivery.event_key)
    return event if delivery.reason == "accepted" else f"{event} {reason}"


def attempt_text(attempt: AttemptEnded) -> str:
    """``request.completed 6b07… → pay_out done 12 ms``."""
    end = _END_TEXTS.get(attempt.end, attempt.end)
    if attempt.end == "retry" and not attempt.error:
        end = "asked for another attempt"
    text = f"{event_text(attempt.event, attempt.event_key)} → "
    text += "no handler: its conditions do not hold" if attempt.end == "unrouted" else f"{attempt.handler} {end}"
    if attempt.end in {"done", "retry", "failed"}:
        text += f" {elapsed(attempt.seconds)}"
    if attempt.retry_after is not None:
        text += f", again in {elapsed(attempt.retry_after)}"
    return f"{text}: {attempt.error}" if attempt.error else text


def event_text(name: str, key: str) -> str:
    """``request.completed 6b07…``: a key repeats the name of its event."""
    return f"{name} {key.removeprefix(f'{name}:')}"
