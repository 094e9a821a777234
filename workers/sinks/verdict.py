"""What a target's HTTP answer means for the effect. Pure: the answer and the time in, an exception or nothing out."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from hitlsh.api.http.rate_limit import retry_after
from workers.errors import GiveUp, NotDelivered, RetryLater

#: Not the target's last word; with every 5xx.
_TEMPORARY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
#: Of what a target asks for, nothing longer is believed: seconds.
_LONGEST_WAIT = 86_400.0
#: Characters of an answer that stand in a reason.
_LONGEST_SAYING = 200


def judge(host: str, status: int, headers: Mapping[str, str], said: str, now: datetime) -> None:
    """Return when the target has it (2xx); otherwise raise how to go on.

    `RetryLater`, counted as a failed attempt, when the target says when; `NotDelivered` when it is merely in
    trouble; `GiveUp` for any other status, redirects among them: the address is to be corrected by a person.
    """
    if 200 <= status < 300:
        return
    reason = f"{host} answered {_spoken(status)}"
    if 300 <= status < 400:
        raise GiveUp(f"{reason}, a redirect, and none is followed: give the address it leads to")
    if said := _shortened(said):
        reason = f"{reason}: {said}"
    if status not in _TEMPORARY and not 500 <= status < 600:
        raise GiveUp(reason)
    delay = _delay(headers, now)
    # Told to come back at once we still keep our own distance.
    if delay < 1:
        raise NotDelivered(reason)
    raise RetryLater(delay, reason, counts=True)


def _delay(headers: Mapping[str, str], now: datetime) -> float:
    again_at = retry_after(headers, now)
    return 0.0 if again_at is None else min((again_at - now).total_seconds(), _LONGEST_WAIT)


def _spoken(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _shortened(said: str) -> str:
    """On one line, without control characters, and not longer than a reason can bear."""
    line = " ".join(said.split())
    return "".join(character for character in line if character.isprintable())[:_LONGEST_SAYING]
