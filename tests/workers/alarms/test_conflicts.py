"""Conflicts and misuses of callback URLs are counted where they are stored, by whichever process stores them."""

import msgspec
import pytest
from redis import Redis

from hitlsh.events import Trust
from hitlsh.request_details import read_details
from tests.builders import ago, delivery, payload
from workers.alarms.rules import all_rules
from workers.inbox import counters, keys, presence, store
from workers.inbox.tracker.reconcile_lease import Note, ReconcileLease
from workers.settings import Settings

REQUEST = "66c0ffee00000000000000a1"
OTHER = "66c0ffee00000000000000a2"
SETTINGS = Settings(redis_url="redis://127.0.0.1:1")


@pytest.fixture(autouse=True)
def _clock(redis: Redis) -> None:
    presence.announce(redis, "clock")


def accept(
    redis: Redis, answer: object, *, trust: Trust, request: str = REQUEST, callback_id: str | None = None
) -> str:
    body = payload(request_id=request, response_data=answer)
    [verdict] = store.accept(redis, [delivery(body, trust=trust, callback_id=callback_id)], retention=86_400)
    return verdict


def save_question(redis: Redis, options: list[str]) -> None:
    """As a reconcile run saves the options of a question."""
    details = read_details({"response_type": "single_select", "response_config": {"options": options}})
    lease = ReconcileLease(redis, seconds=60, retention=86_400)
    assert lease.acquire()
    lease.write([Note("details", REQUEST, msgspec.json.encode(details))], began=0)


def text(redis: Redis, name: str) -> str:
    """The text of an alarm; empty while it is not raised."""
    return next((alarm.text for alarm in all_rules.check(SETTINGS, redis) if alarm.name == name), "")


def test_two_outcomes_that_reconcile_runs_read_are_a_conflict(redis: Redis) -> None:
    accept(redis, "Approve", trust="confirmed")
    before = text(redis, "conflicts")
    verdict = accept(redis, "Reject", trust="confirmed")

    assert (before, verdict) == ("", "conflict")
    assert f"request.completed:{REQUEST}#" in text(redis, "conflicts")
    assert counters.read(redis)[counters.CONFLICTS] == 1


def test_a_repeated_outcome_counts_once(redis: Redis) -> None:
    for answer in ("Approve", "Reject", "Reject"):
        accept(redis, answer, trust="signed")

    assert counters.read(redis)[counters.CONFLICTS] == 1


def test_answers_that_the_options_of_the_question_tell_apart_are_a_conflict(redis: Redis) -> None:
    accept(redis, "C", trust="signed")
    accept(redis, "C++", trust="callback")  # "C" may be its snake_case form
    before = text(redis, "conflicts")
    save_question(redis, ["C", "C++"])

    assert before == ""
    assert REQUEST in text(redis, "conflicts")


def test_a_misused_callback_url_is_named(redis: Redis) -> None:
    redis.set(f"{keys.PREFIX}token:leaked", REQUEST)
    verdict = accept(redis, "Approve", trust="callback", request=OTHER, callback_id="leaked")

    assert verdict == "misused"
    assert OTHER in text(redis, "callback_misused")
    assert counters.read(redis)[counters.MISUSES] == 1


def test_a_stranger_puts_no_mention_and_no_markup_into_an_alarm(redis: Redis) -> None:
    redis.set(f"{keys.PREFIX}token:leaked", REQUEST)
    body = msgspec.json.encode(
        {"event": "@everyone.<!channel>x", "timestamp": ago(60), "data": {"request": {"id": OTHER}}}
    )
    [verdict] = store.accept(redis, [delivery(body, trust="callback", callback_id="leaked")], retention=86_400)

    assert verdict == "misused"
    assert f"event ?everyone.??channel?x:{OTHER}" in text(redis, "callback_misused")
