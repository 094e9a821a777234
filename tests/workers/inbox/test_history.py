"""Reading and listing the records of the inbox, on a real server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.builders import claimed, delivery, key, payload, routed, settled
from tests.inbox_records import recent
from workers.inbox import keys, request_records
from workers.inbox.operations.failures import discard
from workers.inbox.queries import lookup
from workers.inbox.queries.pagination import CHUNK, CursorInvalid, Position, scan
from workers.inbox.queries.search import Filter, events, failures, of_request, resolve
from workers.inbox.worker_inbox import WorkerInbox

KEY = key(payload())
REQUEST = "66c0ffee00000000000000a1"


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


async def settle(inbox: WorkerInbox, **ends: Any) -> None:
    """Route due events to these handlers and settle each effect as given: ``pay="failed"``."""
    for item in (await inbox.claim(1_000)).items:
        await inbox.report([routed(item, *ends)])
        for handler, end in ends.items():
            await inbox.report([settled(item, end, handler, error=f"{handler}: no")])


def keys_of(redis: Redis, conditions: Filter) -> list[str]:
    return [event.key for event in events(redis, conditions).events]


def spread(redis: Redis, *event_keys: str) -> None:
    """Accept events one second apart, from 1970-01-01T00:00:01Z on."""
    for second, name in enumerate(event_keys, 1):
        redis.zadd(keys.EVENTS, {name: second * 1000}, xx=True)


def second(number: int) -> datetime:
    return datetime.fromtimestamp(number, UTC)


# -- one record --------------------------------------------------------------------------------------


async def test_a_record_shows_the_state_of_each_effect(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(callback_id="c", state=[])])
    await settle(inbox, pay="failed", notify="done")

    record = lookup.event(redis, KEY)

    assert record is not None
    assert record.callback is not None
    assert (record.state, record.callback.state, record.routing) == ("routed", [], None)
    assert [(one.handler, one.state, one.attempts, one.error) for one in record.effects] == [
        ("pay", "failed", 1, "pay: no"),
        ("notify", "done", 1, None),
    ]
    assert all(one.seconds is not None and 0 <= one.seconds < 5 for one in record.effects)


async def test_what_still_runs_has_no_duration(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="retry")
    await inbox.claim(1)

    record = lookup.event(redis, KEY)

    assert record is not None
    assert (record.effects[0].state, record.effects[0].seconds) == ("running", None)


async def test_a_conflict_has_the_key_under_which_it_is_kept(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(), delivery(payload(response="Reject"))])

    for record in recent(redis):
        assert getattr(record.content, "key", None) == record.key


async def test_a_failed_routing_is_shown(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([settled(item, "failed", error="3 workers died")])

    [failure] = failures(redis).failures

    assert failure.event.state == "failed"
    assert (failure.effect.handler, failure.effect.error, failure.member) == ("", "3 workers died", f"|{KEY}")


async def test_a_missing_event_has_no_record(redis: Redis) -> None:
    assert lookup.event(redis, "no:such") is None
    assert request_records.read(redis, "no such") is None
    assert events(redis).events == ()
    assert failures(redis).failures == ()


# -- listing -----------------------------------------------------------------------------------------


async def test_events_are_listed_newest_first(inbox: WorkerInbox, redis: Redis) -> None:
    for name in "abc":
        await inbox.accept([delivery(payload(request_id=name))])
    spread(redis, *(f"request.completed:{name}" for name in "abc"))

    assert keys_of(redis, Filter()) == [f"request.completed:{name}" for name in "cba"]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        (Filter(state="failed"), "b"),
        (Filter(state="done"), "ab"),  # of an effect, or of the event
        (Filter(state="quarantined"), "?"),
        (Filter(event="request.timeout"), "c"),
        (Filter(event="request.*"), "abc"),
        (Filter(loop="L"), "a"),
        (Filter(loop="Payouts"), "d"),
        (Filter(handler="pay"), "b"),
        (Filter(handler="audit"), "ab"),
        (Filter(request="c"), "c"),
        (Filter(since=second(2)), "bc?d"),
        (Filter(until=second(2)), "a"),
        (Filter(since=second(2), until=second(4)), "bc"),
        (Filter(handler="pay", request="a"), ""),
    ],
)
async def test_events_are_found_by_their_fields(
    inbox: WorkerInbox, redis: Redis, conditions: Filter, found: str
) -> None:
    by_letter = {"a": payload("a", loop_id="L"), "b": payload("b"), "c": payload("c", status="timeout"), "?": b"{}",
                 "d": claimed("d").replace(b"request.claimed", b"loop.claimed")}  # fmt: skip
    await inbox.accept([delivery(by_letter["a"])])
    await settle(inbox, audit="done")
    await inbox.accept([delivery(by_letter["b"])])
    await settle(inbox, audit="done", pay="failed")
    await inbox.accept([delivery(by_letter[letter]) for letter in "c?d"])
    letters = {delivery(body).content.key: letter for letter, body in by_letter.items()}
    spread(redis, *letters)
    spread(redis, *sorted(letters, key=lambda name: "abc?d".index(letters[name])))

    assert {letters[name] for name in keys_of(redis, conditions)} == set(found)


async def test_failures_are_found_by_handler_and_time(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload("a")), delivery(payload("b"))])
    await settle(inbox, pay="failed", notify="failed")
    redis.zadd(keys.FAILED, {"pay|request.completed:a": 1_000})

    paid = failures(redis, Filter(handler="pay")).failures
    early = failures(redis, Filter(until=second(2))).failures

    assert [one.member for one in paid] == ["pay|request.completed:b", "pay|request.completed:a"]
    assert [(one.member, one.failed_at) for one in early] == [("pay|request.completed:a", second(1))]


async def test_pages_show_everything_once(inbox: WorkerInbox, redis: Redis) -> None:
    count = CHUNK + 20
    await inbox.accept([delivery(payload(request_id=f"{n:03}")) for n in range(count)])

    seen, cursor, pages = [], None, 0
    while cursor or not pages:
        page = events(redis, limit=30, cursor=cursor)
        seen += [event.key for event in page.events]
        cursor, pages = page.cursor, pages + 1

    assert (len(seen), len(set(seen)), pages) == (count, count, 4)


async def test_a_page_goes_on_where_the_last_event_was_even_if_that_is_gone(inbox: WorkerInbox, redis: Redis) -> None:
    names = [f"request.completed:{n}" for n in range(6)]
    await inbox.accept([delivery(payload(request_id=str(n))) for n in range(6)])
    spread(redis, *names)

    first = events(redis, limit=2)
    redis.zrem(keys.EVENTS, first.events[-1].key)
    await inbox.accept([delivery(payload(request_id="new"))])
    second_page = events(redis, limit=2, cursor=first.cursor)

    assert [event.key for event in second_page.events] == names[3:1:-1]


async def test_an_event_that_expired_is_left_out(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(payload("a")), delivery(payload("b"))])
    redis.delete(keys.event("request.completed:a"))

    assert keys_of(redis, Filter()) == ["request.completed:b"]


@pytest.mark.parametrize("cursor", ["", "yesterday", "nan@x", "1@"])
def test_an_invalid_cursor_is_refused(redis: Redis, cursor: str) -> None:
    with pytest.raises(CursorInvalid, match="is not a cursor"):
        events(redis, cursor=cursor)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_scan_that_removes_members_misses_none(redis: Redis, oldest_first: bool, size: int) -> None:
    redis.zadd("index", {f"m{n:02}": n // 4 for n in range(20)})
    bounds = {"since": second(0) + timedelta(milliseconds=1), "until": second(0) + timedelta(milliseconds=4)}

    met = []
    for positions in scan(redis, "index", oldest_first=oldest_first, chunk=size, **bounds):
        met += [position.member for position in positions]
        redis.zrem("index", *(position.member for position in positions))

    expected = [f"m{n:02}" for n in range(4, 16)]
    assert met == (expected if oldest_first else expected[::-1])


def test_a_position_is_its_own_cursor() -> None:
    position = Position("pay|request.completed:a@b", 1_772_366_400_123.25)

    assert Position.of(str(position)) == position


# -- names -------------------------------------------------------------------------------------------


async def test_a_request_has_its_events_oldest_first(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery(claimed()), delivery(), delivery(payload("another"))])
    spread(redis, key(claimed()), KEY)

    assert of_request(redis, REQUEST) == [key(claimed()), KEY]


async def test_a_name_is_an_event_an_effect_or_a_request(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])

    assert resolve(redis, KEY) == resolve(redis, f"pay|{KEY}") == resolve(redis, REQUEST) == [KEY]
    assert resolve(redis, "nothing") == resolve(redis, "pay|nothing") == []


async def test_a_discard_is_shown_with_its_reason(inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox, pay="failed")
    discard(redis, Filter(), reason="paid by hand", retention=60)

    [event] = events(redis, Filter(state="discarded")).events

    assert (event.effects[0].reason, event.finished_at is not None) == ("paid by hand", True)
