"""A plan settles every target, however the list moves meanwhile."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.workers.reconcile.list_server import ListServer
from workers.inbox.values import OpenRequest
from workers.reconcile.planning.plan_execution import PlanExecution
from workers.reconcile.planning.planner import Plan
from workers.reconcile.planning.progress import Findings, Get, List, Missing, Row, Rows

PAGE = 10


def planned(targets: tuple[OpenRequest, ...], **changes: Any) -> Plan:
    defaults: dict[str, Any] = {
        "kind": "page",
        "reason": "",
        "calls": 10_000,
        "targets": targets,
        "page_size": PAGE,
        "overlap": 2,
    }
    return Plan(**(defaults | changes))


def carry_out(reconcile: PlanExecution, server: ListServer) -> list[Findings]:
    results = []
    while (call := reconcile.next_call()) is not None:
        results.append(reconcile.step(call, server.answer(call)))
    return results


def ended(results: list[Findings]) -> set[str]:
    return {name for findings in results for name in findings.ended}


def test_one_page_finds_what_ended_on_it() -> None:
    server = ListServer()
    server.ask(5)
    server.end("r2")

    results = carry_out(PlanExecution(planned(server.known())), server)

    assert results == [Findings(ended=("r2",), open=("r4", "r3", "r1", "r0"))]


def test_pages_that_hold_nothing_due_are_not_read() -> None:
    server = ListServer()
    server.ask(100)
    due = server.known()[10:12]

    results = carry_out(PlanExecution(planned(due)), server)

    assert (len(results), server.calls) == (1, 1)


def test_a_request_far_from_all_others_is_read_by_itself() -> None:
    server = ListServer()
    server.ask(100)

    assert PlanExecution(planned(server.known()[10:11])).next_call() == Get(id="r10")


def test_an_absent_row_is_a_hint_and_a_call_is_the_proof() -> None:
    server = ListServer()
    server.ask(5)
    requests = server.known()
    server.delete("r2")

    results = carry_out(PlanExecution(planned(requests)), server)

    assert [(step.hints, step.missing) for step in results] == [(("r2",), ()), ((), ("r2",))]


def test_rows_of_others_are_followed_to_where_they_pushed_ours() -> None:
    server = ListServer()
    server.ask(4)
    requests = server.known()
    server.ask(PAGE)

    results = carry_out(PlanExecution(planned(requests)), server)

    assert {name for step in results for name in step.open} >= {"r0", "r1", "r2", "r3"}
    assert server.calls == 2


def test_a_request_absent_from_the_open_list_is_read_by_itself() -> None:
    server = ListServer()
    server.ask(25)
    for name in ("r3", "r20"):
        server.end(name)

    results = carry_out(PlanExecution(planned(server.known(), kind="open", open_statuses=("pending",))), server)

    assert ended(results) == {"r3", "r20"}
    assert server.calls == 5


def test_a_reconcile_run_that_is_cut_short_goes_on_where_it_stood() -> None:
    server = ListServer()
    server.ask(60)
    server.end("r1")
    first = PlanExecution(planned(server.known(), kind="open", open_statuses=("pending",), calls=2))
    seen = {name for step in carry_out(first, server) for name in step.open}
    assert first.checkpoint is not None
    rest = tuple(request for request in server.known() if request.id not in seen)

    again = PlanExecution(planned(rest, kind="open", open_statuses=("pending",), checkpoint=first.checkpoint))

    assert again.next_call() == List(offset=first.checkpoint.offset, limit=PAGE, status="pending")
    assert ended(carry_out(again, server)) == {"r1"}


def test_a_page_without_new_rows_moves_the_offset_by_a_whole_page() -> None:
    rows = tuple(Row(id=f"r{n}", created_at=float(n), ended=False) for n in range(20, 10, -1))
    targets = (OpenRequest(id="r0", created_at=0.0),)
    reconcile = PlanExecution(planned(targets, kind="open", open_statuses=("pending",)))
    offsets = []

    for _ in range(3):
        call = reconcile.next_call()
        assert isinstance(call, List)
        offsets.append(call.offset)
        reconcile.step(call, Rows(rows=rows))

    assert offsets == [0, 8, 18]


def test_a_short_page_without_new_rows_is_the_last() -> None:
    server = ListServer()
    server.says_more = False
    server.ask(17)
    reconcile = PlanExecution(
        planned((OpenRequest(id="x", created_at=-1.0, newer=17),), kind="open", open_statuses=("pending",))
    )

    carry_out(reconcile, server)

    assert server.calls == 4  # 0 to 10, 8 to 17, 15 to 17 again, and the call for what is absent


def test_pages_that_do_not_overlap_widen_the_overlap() -> None:
    targets = (OpenRequest(id="r0", created_at=0.0),)
    reconcile = PlanExecution(planned(targets, kind="open", open_statuses=("pending",)))
    overlaps = []

    for newest in (90, 70, 50, 30):
        call = reconcile.next_call()
        assert call is not None
        rows = tuple(Row(id=f"r{n}", created_at=float(n), ended=False) for n in range(newest, newest - 10, -1))
        reconcile.step(call, Rows(rows=rows))
        assert reconcile.checkpoint is not None
        overlaps.append(reconcile.checkpoint.overlap)

    assert overlaps == [2, 4, 5, 5]


def test_a_call_that_failed_is_named_again() -> None:
    server = ListServer()
    server.ask(5)
    reconcile = PlanExecution(planned(server.known()))

    assert reconcile.next_call() == reconcile.next_call()


def test_a_request_of_another_key_is_missing() -> None:
    reconcile = PlanExecution(planned((OpenRequest(id="x", created_at=0.0, newer=50),)))
    call = reconcile.next_call()
    assert call == Get(id="x")

    assert reconcile.step(call, Missing(id="x")) == Findings(missing=("x",))
    assert reconcile.next_call() is None


changes = st.lists(
    st.tuples(st.sampled_from(["ask", "end", "delete"]), st.integers(0, 200), st.integers(1, 15)), max_size=3
)


@given(
    size=st.integers(1, 60),
    ended_before=st.sets(st.integers(0, 59)),
    foreign=st.sets(st.integers(0, 59), max_size=40),
    through_open=st.booleans(),
    says_more=st.booleans(),
    drift=st.lists(changes, max_size=40),
    slices=st.integers(1, 7),
)
def test_everything_that_had_ended_is_found_however_the_list_moves(
    size: int,
    ended_before: set[int],
    foreign: set[int],
    through_open: bool,
    says_more: bool,
    drift: list[Any],
    slices: int,
) -> None:
    server = ListServer()
    server.says_more = says_more
    server.ask(size)
    for number in ended_before:
        server.end(f"r{number}")
    left = {request.id: request for request in server.known(blind_to=frozenset(f"r{n}" for n in foreign))}
    targets, settled = set(left), set[str]()
    must = {row.id for row in server.rows if row.ended} & targets
    checkpoint, steps, moves = None, 0, iter(drift)

    while left:
        statuses = ("pending",) if through_open else ()
        reconcile = PlanExecution(
            planned(tuple(left.values()), open_statuses=statuses, checkpoint=checkpoint, calls=slices)
        )
        while (call := reconcile.next_call()) is not None:
            results = reconcile.step(call, server.answer(call))
            assert not set(results.ended) - {row.id for row in server.rows if row.ended}
            settled |= set(results.ended) | set(results.missing)
            for name in (*results.ended, *results.open, *results.missing):
                left.pop(name, None)
            for verb, number, count in next(moves, []):
                if verb == "ask":
                    server.ask(count)
                else:
                    getattr(server, verb)(f"r{number}")
            steps += 1
            assert steps <= 20 + 5 * size + len(drift) * 6, "it makes no progress"
        checkpoint = reconcile.checkpoint

    assert must <= settled
