"""Discovery sees every request of the key once, however the list moves meanwhile."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.reconcile.list_server import ListServer
from workers.reconcile.planning.discovery import LATE, Horizon, initial_horizon, is_delivered
from workers.reconcile.planning.progress import List, Row, Rows

PAGE = 10
NOW = 5000.0


def rows(*moments: float, more: bool = True) -> Rows:
    return Rows(rows=tuple(Row(id=f"r{moment}", created_at=moment, ended=False) for moment in moments), more=more)


def walking(horizon: Horizon, first: Rows) -> Horizon:
    return horizon.step(List(offset=0, limit=len(first.rows)), first, NOW)


def test_a_fresh_horizon_begins_at_the_newest_request_and_is_due_at_once() -> None:
    horizon = initial_horizon(NOW, 1000)

    assert (horizon.since, horizon.seen_to, horizon.due_at(600)) == (4000, 4000, 0)
    assert horizon.next_call(100) == List(offset=0, limit=100)


def test_one_page_that_reaches_what_is_known_is_all() -> None:
    horizon = initial_horizon(NOW, 1000)

    advanced = horizon.step(List(offset=0, limit=3), rows(4900, 4500, 3999), NOW)

    assert advanced == Horizon(since=4000, seen_to=4900 - LATE, discovered_at=NOW)
    assert advanced.due_at(600) == NOW + 600


def test_a_row_as_old_as_what_is_known_proves_nothing() -> None:
    advanced = walking(initial_horizon(NOW, 1000), rows(4900, 4500, 4000))

    assert advanced.descent is not None


def test_the_end_of_the_list_is_the_end() -> None:
    assert initial_horizon(NOW, 1000).step(List(offset=0, limit=3), rows(4900, more=False), NOW).discovered_at == NOW


def test_discovery_that_waited_too_long_goes_first() -> None:
    looked = Horizon(since=0, seen_to=0, discovered_at=NOW)

    assert [looked.is_starved(600, NOW + wait) for wait in (2399, 2400)] == [False, True]
    assert initial_horizon(NOW, 0).is_starved(600, NOW)


def test_an_empty_list_is_all_there_is() -> None:
    assert initial_horizon(NOW, 1000).step(List(offset=0, limit=3), rows(), NOW).discovered_at == NOW


def test_the_open_listing_proves_nothing_of_what_has_ended() -> None:
    horizon = initial_horizon(NOW, 1000)

    assert horizon.step(List(offset=0, limit=3, status="pending"), rows(3000, more=False), NOW) is horizon


def test_an_unrelated_page_does_not_advance_discovery() -> None:
    horizon = walking(initial_horizon(NOW, 1000), rows(4900, 4800))

    assert horizon.step(List(offset=70, limit=2), rows(4500, 4400), NOW) is horizon


def test_a_page_read_for_a_plan_advances_discovery() -> None:
    horizon = walking(initial_horizon(NOW, 1000), rows(4900, 4800, 4700))

    advanced = horizon.step(List(offset=2, limit=3), rows(4750, 4500, 4400), NOW)

    assert advanced.descent is not None
    assert (advanced.descent.last, advanced.next_call(3)) == (4400, List(offset=4, limit=3))


def test_the_first_page_read_again_brings_the_beginning_forward() -> None:
    horizon = walking(initial_horizon(NOW, 1000), rows(4900, 4800, 4700))

    advanced = walking(horizon, rows(4980, 4950, 4850))

    assert advanced.descent is not None
    assert (advanced.descent.newest, advanced.descent.last) == (4980, 4700)


def test_discovery_steps_back_when_pages_do_not_overlap() -> None:
    horizon = walking(initial_horizon(NOW, 1000), rows(*range(4900, 4800, -1)))
    call = horizon.next_call(100)

    torn = horizon.step(call, rows(*range(4700, 4600, -1)), NOW)

    assert (call.offset, torn.next_call(100).offset) == (95, 45)


def test_the_progress_of_discovery_is_saved_as_json() -> None:
    horizon = walking(initial_horizon(NOW, 1000), rows(4900, 4800))

    assert msgspec.json.decode(msgspec.json.encode(horizon), type=Horizon) == horizon


def test_what_was_decided_long_ago_is_not_delivered() -> None:
    old = Row(id="r1", created_at=3000, ended=True)
    horizon = initial_horizon(NOW, 1000)

    assert [is_delivered(old, horizon, 0.0, decided_at) for decided_at in (None, 3999, 4000)] == [False, False, True]
    assert [is_delivered(old, horizon, 5000.0, decided_at) for decided_at in (4999, 5000)] == [False, True]


class Moving(ListServer):
    """A list in which several requests share each second of creation."""

    def __init__(self, a_second: int) -> None:
        super().__init__()
        self.a_second = a_second
        self.made = 0

    def ask(self, count: int = 1) -> list[Row]:
        made = [
            Row(id=f"r{number}", created_at=float(number // self.a_second), ended=False)
            for number in range(self.made, self.made + count)
        ]
        self.made += count
        self.rows += made
        return made

    def delete_newest(self, count: int) -> None:
        self.rows = self.rows[: max(0, len(self.rows) - count)]

    def delete_oldest(self, count: int) -> None:
        self.rows = self.rows[count:]

    def delete_some(self, count: int) -> None:
        self.rows = [row for place, row in enumerate(self.rows) if place % (count + 1)]


moves = st.lists(
    st.tuples(st.sampled_from(["ask", "delete_newest", "delete_oldest", "delete_some"]), st.integers(1, 25)), max_size=2
)


@given(
    size=st.integers(0, 80),
    a_second=st.sampled_from([1, 1, 3, 25]),
    known=st.integers(-1, 80),
    says_more=st.booleans(),
    capped=st.sampled_from([PAGE, 4]),
    drift=st.lists(moves, max_size=30),
    strays=st.lists(st.none() | st.integers(0, 60), max_size=30),
)
def test_what_is_still_listed_was_shown(
    size: int, a_second: int, known: int, says_more: bool, capped: int, drift: list[Any], strays: list[Any]
) -> None:
    server = Moving(a_second)
    server.says_more = says_more
    server.ask(size)
    horizon, shown, steps = Horizon(since=0, seen_to=float(known // a_second)), set[str](), 0
    before, changes, others = list(server.rows), iter(drift), iter(strays)

    while horizon.discovered_at is None:
        stray = next(others, None)
        call = horizon.next_call(PAGE) if stray is None else List(offset=stray, limit=PAGE)
        page = server.answer(List(offset=call.offset, limit=capped))
        assert isinstance(page, Rows)
        shown |= {row.id for row in page.rows}
        horizon = msgspec.json.decode(msgspec.json.encode(horizon.step(call, page, NOW)), type=Horizon)
        for verb, count in next(changes, []):
            getattr(server, verb)(count)
        steps += 1
        assert steps <= 40 + size + 8 * len(drift), "it makes no progress"

    listed = {row.id for row in server.rows}
    missed = {row.id for row in before if row.created_at > known // a_second} & listed - shown
    assert missed == set()
