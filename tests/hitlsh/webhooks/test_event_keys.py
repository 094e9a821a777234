"""Keys that are equal for one fact and for nothing else."""

import re

import pytest

from tests.hitlsh.bodies import ID, callback, event


@pytest.mark.parametrize("request_id", [f"{ID} x", "a|b", "a\nb", "\u00a0", "\x00", "x" * 105, "x" * 1_000_000])
def test_an_odd_id_is_kept_and_its_digest_stands_in_the_key(request_id: str) -> None:
    read = event(callback("Yes", request_id=request_id))

    assert re.fullmatch("request.completed:[0-9a-f]{64}", read.key)
    assert len(read.request_id or "") >= len(request_id)


def test_a_claim_may_be_repeated_and_each_has_its_key() -> None:
    first, again = (callback(event="request.claimed", status="claimed", claimed_at=at) for at in ("T1", "T2"))

    assert event(first).key == f"request.claimed:{ID}:T1"
    assert event(again).key == f"request.claimed:{ID}:T2"


def test_what_may_be_repeated_and_has_no_time_is_known_by_its_body() -> None:
    one, other = (callback(event="request.escalated", status=None, to=to) for to in ("a", "b"))

    assert event(one).key == event(one).key
    assert event(one).key != event(other).key


def test_a_colon_in_an_event_name_cannot_imitate_an_outcomes_key() -> None:
    read = event(callback(event=f"request.completed:{ID}", status="odd"))

    assert not read.key.startswith("request.completed:")
