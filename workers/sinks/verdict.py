"""Decides by a target's HTTP answer whether the effect is done, retried or failed. Pure."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from hitlsh.api.http.rate_limit import retry_after
from workers.errors import GiveUp, NotDelivered, RetryLater

#: Statuses after which another attempt may succeed, besides every 5xx.
_TEMPORARY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
#: Seconds: the longest delay that a target may ask for.
_LONGEST_WAIT = 86_400.0
#: Characters of an answer that are kept in a reason.
_LONGEST_TEXT = 200


def raise_for_response(host: str, status: int, headers: Mapping[str, str], text: str, now: datetime) -> None:
    """Return for a 2xx status; raise otherwise.

    `RetryLater`, counted as a failed attempt, if the target says when to retry; `NotDelivered` for another temporary
    error; `GiveUp` for any other status, including redirects: a person must correct the address.
    """
    if 200 <= status < 300:
        return
    reason = f"{host} answered {_status_phrase(status)}"
    if 300 <= status < 400:
        raise GiveUp(f"{reason}, a redirect, and none is followed: give the address it leads to")
    if text := _shortened(text):
        reason = f"{reason}: {text}"
    if status not in _TEMPORARY and not 500 <= status < 600:
        raise GiveUp(reason)
    delay = _delay(headers, now)
    # A retry at once is not honoured: our own backoff applies.
    if delay < 1:
        raise NotDelivered(reason)
    raise RetryLater(delay, reason, counts=True)


def _delay(headers: Mapping[str, str], now: datetime) -> float:
    again_at = retry_after(headers, now)
    return 0.0 if again_at is None else min((again_at - now).total_seconds(), _LONGEST_WAIT)


def _status_phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _shortened(text: str) -> str:
    """The text on one line, without control characters, cut to `_LONGEST_TEXT`."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:_LONGEST_TEXT]
