"""When HITL.sh is asked about a request for which somebody waits."""

from datetime import UTC, datetime, timedelta

import pytest

from hitlsh.asking.asked_request import AskedRequest
from workers.asking.check_times import next_check

ASKED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def request(timeout: float | None = None, *, asked_at: datetime | None = ASKED) -> AskedRequest:
    timeout_at = None if timeout is None else ASKED + timedelta(seconds=timeout)
    return AskedRequest(
        id="ask_1", status="open", text="?", response_type="text", asked_at=asked_at, timeout_at=timeout_at, version=1
    )


@pytest.mark.parametrize(
    ("now", "timeout", "check"),
    [
        (0, None, 300),
        (299, None, 300),
        (300, None, 600),
        (3_000, None, 4_800),
        (0, 120, 135),
        (135, 120, 300),
        (500, 590, 600),
        (500, 580, 595),
        (100_000, 600, 153_600),
    ],
)
def test_checks_get_rarer_and_one_follows_the_timeout(now: float, timeout: float | None, check: float) -> None:
    assert next_check(request(timeout), ASKED.timestamp() + now) - ASKED.timestamp() == check


def test_what_was_not_asked_is_not_checked() -> None:
    assert next_check(request(asked_at=None), 0.0) == float("inf")
