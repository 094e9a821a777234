"""When people are told of an alarm: pure, with times as numbers."""

import pytest

from workers.alarms import notices
from workers.alarms.notices import (
    CLEAR_AFTER,
    LEASE,
    REPEAT,
    AlarmRecord,
    Notice,
    Records,
    advance,
    decode,
    encode,
    merge,
    settle,
)

ALARM = "redis_full"


class Telling:
    """Evaluates at given times, and sends at once."""

    def __init__(self) -> None:
        self.records: Records = notices.NO_RECORDS
        self.succeeds = True

    def look(self, now: float, *raised: str, judged: tuple[str, ...] = (ALARM, "paused")) -> list[str]:
        """The notices that are sent at this moment."""
        wanted = dict.fromkeys(raised, 10.0)
        self.records, claimed = advance(self.records, wanted, judged=judged, teller="a", now=now)
        self.records = settle(self.records, claimed, teller="a", succeeded=self.succeeds, now=now)
        return [f"{one.kind} {one.name}" for one in claimed]


@pytest.fixture
def telling() -> Telling:
    return Telling()


def test_one_notice_is_sent_when_an_alarm_has_lasted(telling: Telling) -> None:
    told = [telling.look(now, ALARM) for now in (100.0, 105.0, 110.0, 115.0, 1_000.0)]

    assert told == [[], [], [f"raised {ALARM}"], [], []]


def test_a_lasting_alarm_causes_a_notice_every_few_hours(telling: Telling) -> None:
    told = [notice for now in range(0, 9 * 3_600, 60) for notice in telling.look(float(now + 1), ALARM)]

    assert told == [f"raised {ALARM}", f"lasting {ALARM}", f"lasting {ALARM}"]
    assert REPEAT == 4 * 3_600


def test_a_clear_notice_is_sent_after_the_alarm_has_stayed_clear(telling: Telling) -> None:
    telling.look(100.0, ALARM)
    telling.look(110.0, ALARM)

    told = [telling.look(now) for now in (120.0, 150.0, 120.0 + CLEAR_AFTER, 500.0)]

    assert told == [[], [], [f"cleared {ALARM}"], []]


def test_a_notice_says_how_long_the_alarm_lasted() -> None:
    records: Records = {ALARM: AlarmRecord(since=100.0, told_at=110.0, clear_since=400.0)}

    _, claimed = advance(records, {}, judged=[ALARM], teller="a", now=500.0)

    assert claimed == [Notice(name=ALARM, kind="cleared", seconds=300.0)]


def test_a_short_alarm_causes_no_notice(telling: Telling) -> None:
    told = [telling.look(100.0, ALARM), telling.look(105.0), telling.look(106.0, ALARM), telling.look(115.0)]

    assert told == [[]] * 4
    assert telling.look(145.0) == []
    assert telling.records == {}


@pytest.mark.parametrize(("period", "most"), [(20, 2), (120, 12), (400, 14)])
def test_an_alarm_that_flaps_for_a_day_does_not_flood(telling: Telling, period: int, most: int) -> None:
    told = []
    for now in range(1, 86_400, 5):
        raised = (ALARM,) if now % period < period / 2 else ()
        told += telling.look(float(now), *raised)

    assert 1 <= len(told) <= most + 86_400 / REPEAT


def test_an_alarm_that_returns_a_day_later_is_a_new_alarm(telling: Telling) -> None:
    for now in (0.0, 10.0):
        telling.look(now + 1, ALARM)
    for now in (20.0, 90.0, 90_000.0):
        telling.look(now)
    told = [telling.look(now, ALARM) for now in (90_001.0, 90_011.0)]

    assert told == [[], [f"raised {ALARM}"]]
    assert telling.records[ALARM].returns == 0


def test_of_two_tellers_one_has_the_claim() -> None:
    records, first = advance({ALARM: AlarmRecord(since=0.0)}, {ALARM: 10.0}, judged=[ALARM], teller="a", now=20.0)
    _, second = advance(records, {ALARM: 10.0}, judged=[ALARM], teller="b", now=20.0 + LEASE - 1)

    assert (len(first), second) == (1, [])


def test_after_the_death_of_a_sender_another_process_sends_the_notice() -> None:
    records, _ = advance({ALARM: AlarmRecord(since=0.0)}, {ALARM: 10.0}, judged=[ALARM], teller="a", now=20.0)
    records, claimed = advance(records, {ALARM: 10.0}, judged=[ALARM], teller="b", now=20.0 + LEASE)
    late = settle(records, claimed, teller="a", succeeded=True, now=20.0 + LEASE)

    assert [one.kind for one in claimed] == ["raised"]
    assert late == records
    assert settle(records, claimed, teller="b", succeeded=True, now=90.0)[ALARM].told_at == 90.0


def test_an_undelivered_notice_is_sent_again_at_growing_intervals(telling: Telling) -> None:
    telling.succeeds = False
    attempts = [now for now in range(0, 3_600, 5) if telling.look(float(now), ALARM)]
    telling.succeeds = True

    assert attempts[:4] == [10, 25, 55, 115]
    assert len(attempts) < 12
    assert telling.look(4_600.0, ALARM) == [f"raised {ALARM}"]


def test_an_alarm_that_clears_before_any_notice_was_sent_is_dropped(telling: Telling) -> None:
    telling.succeeds = False
    telling.look(1.0, ALARM)
    telling.look(11.0, ALARM)
    telling.succeeds = True

    assert [telling.look(now) for now in (30.0, 100.0, 200.0)] == [[], [], []]
    assert telling.records == {}


def test_records_of_alarms_that_were_not_evaluated_do_not_change(telling: Telling) -> None:
    telling.look(1.0, "paused")
    telling.look(11.0, "paused")

    told = [telling.look(now, ALARM, judged=(ALARM,)) for now in (20.0, 30.0, 10_000.0)]

    assert told == [[], [f"raised {ALARM}"], []]
    assert telling.records["paused"].clear_since == 0.0
    assert telling.look(10_001.0, "paused", ALARM) == []


def test_records_of_one_process_are_merged_into_the_shared_ones() -> None:
    own: Records = {ALARM: AlarmRecord(since=10.0, told_at=20.0), "paused": AlarmRecord(since=1.0, told_at=11.0)}
    shared: Records = {
        ALARM: AlarmRecord(since=10.0, told_at=15.0, ended_at=100.0),
        "no_drain": AlarmRecord(since=5.0),
    }

    assert merge(shared, own) == {**shared, "paused": own["paused"]}


def test_records_survive_encoding_and_an_unreadable_one_is_none() -> None:
    records: Records = {ALARM: AlarmRecord(since=1.5, told_at=2.0, teller="a", claimed_until=3.0)}

    assert decode(encode(records)) == records
    assert (decode(b""), decode(b"[1]"), decode(b"\xff")) == ({}, {}, {})
