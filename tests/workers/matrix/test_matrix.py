"""One decision, however its request was asked, by whichever channels it came, in whichever order.

`python -m tests.workers.matrix` writes what was found into docs/handlers.md.
"""

from collections.abc import Iterator

import pytest

from service.local.embedded_server import EmbeddedServer
from tests.workers.matrix.cells import CASES, CONTEXT, ORIGINS, STATE, TEXT, WORKFLOW_CASES, Cell, cells
from tests.workers.matrix.comparison import BEGIN, END, PAGE, differences, matrix_table
from tests.workers.matrix.deciding import Given, decide_all
from workers import Decision
from workers.redis_clients import command_client
from workers.testing import cancelled, completed, timed_out

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def given(server: EmbeddedServer) -> Iterator[Given]:
    """What each route of each cell was given."""
    redis = command_client(server.url)
    redis.flushall()
    yield decide_all(redis, server.url)[0]
    redis.close()


#: Each cell is a request of its own, in a loop of its order.
OF_ANOTHER_REQUEST = {"event_key", "request_id", "loop_id", "loop_name"}
#: How a request is asked, and how it ends.
ASKED = [(origin, case) for origin in ORIGINS for case in (WORKFLOW_CASES if origin == ORIGINS[3] else CASES)]


def cells_of(origin: str, case: str) -> list[Cell]:
    """One for each order of deliveries."""
    return [cell for cell in cells() if (cell.origin, cell.case) == (origin, case)]


def test_the_matrix_has_every_cell(given: Given) -> None:
    assert len(given) == len(list(cells())) == (15 + 15 + 4) * len(CASES) + 4 * len(WORKFLOW_CASES)


@pytest.mark.parametrize(("origin", "case"), ASKED)
def test_each_route_runs_once_and_in_every_order_the_same(origin: str, case: str, given: Given) -> None:
    for cell in cells_of(origin, case):
        expected = {
            "audit": True,
            "full": True,
            "response": cell.expected.response in ("Pay it", "Dear Bo", "Approve it", "v1", "approve", ["v1", "v2"]),
            "number": case in ("rating", "number", "boolean"),
            "answer": cell.expected.response in ("v1", ["v1", "v2"]),
            "response_type": case in ("text", "rating", "boolean"),
            "state": cell.has_callback,
            "context": origin != "by a workflow",
            "loop": True,
            "loop_name": True,
            "default": cell.expected.default_response in ("v2", "reject", "Dear Ada"),
            "question": origin != "by a workflow",
            "edited": case == "editable_text",
        }

        runs = {route: len(decisions) for route, decisions in given[cell].items()}

        assert runs == {route: 1 for route, is_for_it in expected.items() if is_for_it}, str(cell)


@pytest.mark.parametrize(("origin", "case"), ASKED)
def test_a_decision_is_the_same_or_says_what_it_misses(origin: str, case: str, given: Given) -> None:
    for cell in cells_of(origin, case):
        [full] = given[cell]["full"]
        asked = cell.expected

        assert (full.outcome, full.response) == (asked.outcome, asked.response), str(cell)
        assert full.default_response == asked.default_response, str(cell)
        assert full.loop_name == cell.loop, str(cell)
        assert full.state == (STATE if cell.has_callback else None), str(cell)
        if origin != "by a workflow":
            assert (full.metadata, full.question.text) == (CONTEXT, TEXT), str(cell)
        assert (full.unexpected, full.late, full.conflict, full.overrules) == (False, False, False, False), str(cell)
        for route, [decision] in given[cell].items():
            assert differences(decision, full) == [], f"{route}: {cell}"


@pytest.mark.parametrize(("origin", "case"), ASKED)
def test_a_route_that_needs_all_is_given_the_same_in_every_order(origin: str, case: str, given: Given) -> None:
    first, *others = (given[cell]["full"][0] for cell in cells_of(origin, case))

    for other in others:
        assert set(differences(first, other)) <= OF_ANOTHER_REQUEST


@pytest.mark.parametrize("origin", ORIGINS[1:3])
@pytest.mark.parametrize("case", CASES)
def test_the_asking_program_makes_no_difference(origin: str, case: str, given: Given) -> None:
    ours, theirs = (given[cells_of(one, case)[-1]]["full"][0] for one in (ORIGINS[0], origin))

    without_callback = {"state"} if origin == ORIGINS[2] else set[str]()
    assert set(differences(ours, theirs)) - OF_ANOTHER_REQUEST == without_callback


@pytest.mark.parametrize("outcome", ["completed", "timeout", "cancelled"])
@pytest.mark.parametrize(
    ("way", "channel"), [("callback", "callback URL"), ("account webhook", "account webhook"), ("poll", "poll")]
)
def test_the_decisions_of_workers_testing_miss_what_real_ones_do(
    way: str, channel: str, outcome: str, given: Given
) -> None:
    case = {"completed": "single_select of options"}.get(outcome, outcome)
    real = given[Cell(ORIGINS[1], case, (channel,))]["audit"][0]  # type: ignore[arg-type]

    made: Decision = {
        "completed": lambda: completed("v1", labels=["Quite another word"], state=STATE, loop_name="Desk",
                                       as_received_by=way),
        "timeout": lambda: timed_out("Second", response_type="single_select", state=STATE, loop_name="Desk",
                                     as_received_by=way),
        "cancelled": lambda: cancelled(response_type="single_select", state=STATE, loop_name="Desk",
                                       as_received_by=way),
    }[outcome]()  # fmt: skip

    assert (made.missing, made.response, made.state) == (real.missing, real.response, real.state)
    assert (made.variant, made.trust, made.labels) == (real.variant, real.trust, real.labels)


def test_the_documents_have_this_table(given: Given) -> None:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()

    assert table == matrix_table(given), "run `.venv/bin/python -m tests.workers.matrix`"
