"""The rules of evidence, turns, confirmation and suspects hold in every interleaving of small scenarios."""

from collections.abc import Iterable

import pytest

from tests.workers.inbox.model.old_turns import OldTurns
from tests.workers.inbox.model.rules import Rules
from tests.workers.inbox.model.search import CONFLICTS, PLAIN, STRICT, STRICT_CONFLICTS, Scenario, search
from tests.workers.inbox.model.state import CALLBACK, CONFIRMED, Route

pytestmark = pytest.mark.slow

DEMANDING = (PLAIN, STRICT)
CURIOUS = (PLAIN, CONFLICTS)
BOTH = (PLAIN, STRICT_CONFLICTS)


def evidence(text: str) -> tuple[tuple[str, int], ...]:
    """`A1 B2`: A at level 1, B at level 2."""
    return tuple((word[0], int(word[1])) for word in text.split())


def name(routes: Iterable[Route]) -> str:
    return "+".join(route.name for route in routes)


@pytest.mark.parametrize("truth", ["A", "B", "open"])
@pytest.mark.parametrize("routes", [DEMANDING, CURIOUS, BOTH], ids=name)
@pytest.mark.parametrize("arrives", ["A1 A2", "A1 B1", "A1 B2", "A1 B3", "A2 B2", "P1 A1"])
def test_two_pieces_of_evidence(arrives: str, routes: tuple[Route, ...], truth: str) -> None:
    """With a worker that dies once and gives back once."""
    result = search(Scenario(evidence=evidence(arrives), truth=truth, routes=routes, releases=1))

    assert result.wrong is None, str(result)


@pytest.mark.parametrize("truth", ["A", "B", "open"])
@pytest.mark.parametrize(
    ("arrives", "routes", "kills", "retries", "workers"),
    [
        ("A1 B2 A1", DEMANDING, 1, 1, 1),
        ("P1 A1 B1", DEMANDING, 0, 1, 1),
        ("P1 A1 B1", DEMANDING, 1, 0, 1),
        ("A1 B1 B2", BOTH, 1, 0, 1),
        ("A1 B1", (PLAIN, STRICT, CONFLICTS), 1, 0, 1),
        ("A1 B2", DEMANDING, 1, 1, 2),
        ("A1 B1", CURIOUS, 1, 0, 2),
    ],
)
def test_larger_scenarios_keep_the_invariant(
    arrives: str, routes: tuple[Route, ...], kills: int, retries: int, workers: int, truth: str
) -> None:
    result = search(
        Scenario(
            evidence=evidence(arrives), truth=truth, routes=routes, kills=kills, retries=retries, workers=workers
        )
    )  # fmt: skip

    assert result.wrong is None, str(result)


@pytest.mark.parametrize("truth", ["A", "open"])
@pytest.mark.parametrize("seems_one_answer", [False, True], ids=["two", "one"])
@pytest.mark.parametrize("routes", [DEMANDING, CURIOUS, BOTH], ids=name)
@pytest.mark.parametrize("arrives", ["A1 B1", "A1 B2", "A2 B1", "A1 B3"])
def test_the_question_becomes_known(
    arrives: str, routes: tuple[Route, ...], seems_one_answer: bool, truth: str
) -> None:
    result = search(
        Scenario(evidence=evidence(arrives), truth=truth, routes=routes, seems_one_answer=seems_one_answer)
    )  # fmt: skip

    assert result.wrong is None, str(result)


@pytest.mark.parametrize("arrives", ["A1 B1", "A1 A2 B1"])
def test_a_forged_outcome_of_a_request_that_is_decided_later(arrives: str) -> None:
    result = search(Scenario(evidence=evidence(arrives), truth="open", decided="B", routes=DEMANDING, releases=1))

    assert result.wrong is None, str(result)


def test_the_old_turns_lose_a_confirmed_decision_after_a_kill(capsys: pytest.CaptureFixture[str]) -> None:
    def losses(kills: int) -> Scenario:
        return Scenario(
            evidence=(("A", CALLBACK), ("B", CALLBACK), ("B", CONFIRMED)), truth="B", routes=(STRICT, CONFLICTS),
            kills=kills, rules=OldTurns, losses_only=True,
        )  # fmt: skip

    assert search(losses(kills=0)).wrong is None
    result = search(losses(kills=1))

    with capsys.disabled():
        print(f"\n{result}")
    assert result.wrong == "from here nothing comes to rest"
    assert result.trace[-1] == "B arrives at level 3"
    assert "worker 1 is killed, its leases run out" in result.trace


# -- the search finds what each rule is for --------------------------------------------------------------------------


class HoldsAlone(Rules):
    """Of an event that takes the turn, other effects go on waiting for it."""

    def hold(self, key: str) -> None:
        self.request.turn = key

    def pass_turn(self, key: str) -> None:
        request = self.request
        first = min(request.turns, key=request.turns.__getitem__, default=None)
        super().pass_turn(key)
        if first and request.turn == first[1]:
            request.due.add(first)
            request.turns.pop(first)


class HopesForEver(Rules):
    """Evidence is awaited for what differs from a confirmed decision."""

    def is_confirmable(self, key: str) -> bool:
        event = self.request.events[key]
        return event.outcome and event.trust < CONFIRMED and event.overruled != "open"


class EndsTooSoon(Rules):
    """An event whose second routing is called off is finished, whatever its first one began."""

    def end_routing(self, key: str) -> None:
        super().end_routing(key)
        self.finish(key, "overruled")


class KeepsTheTurn(Rules):
    """What ends nothing is not displaced by what waits."""

    def is_outranked(self, key: str) -> bool:
        return False

    def rest(self, key: str) -> None:
        if not self.request.events[key].effects:
            super().rest(key)


class TakesTheLast(Rules):
    """Stronger or not, the last outcome speaks."""

    def stand_aside(self, key: str, level: int, differs: bool, *, is_new: bool) -> None:
        self.take_over(key, differs, is_new=is_new)


class RunsAgain(Rules):
    """An effect is unique per event only."""

    def may_have_effect(self, name: str, key: str) -> bool:
        return True


class ForgetsToCompare(Rules):
    """What was asked becomes known, and outcomes are not compared again."""

    def decide_agreement(self) -> None:
        pass


def test_outcomes_that_are_not_compared_again_are_found() -> None:
    result = search(
        Scenario(
            evidence=evidence("A1 B1"), truth="A", routes=CURIOUS, rules=ForgetsToCompare, seems_one_answer=False
        )
    )  # fmt: skip

    assert "and conflict is" in (result.wrong or ""), str(result)


@pytest.mark.parametrize(
    ("rules", "arrives", "routes", "truth", "wrong"),
    [
        (HoldsAlone, "A1 B1", CURIOUS, "A", "waits behind its own event"),
        (HopesForEver, "A1 B1", BOTH, "A", "waits for evidence that will not come"),
        (EndsTooSoon, "A1 B1 B2", CURIOUS, "open", "something of it is open"),
        (KeepsTheTurn, "P1 A1", DEMANDING, "A", "which nothing passes on"),
        (TakesTheLast, "A2 B1", DEMANDING, "A", "the decision is B"),
        (RunsAgain, "A1 B2", DEMANDING, "A", "plain began on ['A', 'B']"),
    ],
)
def test_a_rule_that_is_broken_is_found(
    rules: type[Rules], arrives: str, routes: tuple[Route, ...], truth: str, wrong: str
) -> None:
    result = search(Scenario(evidence=evidence(arrives), truth=truth, routes=routes, rules=rules))

    assert wrong in (result.wrong or ""), str(result)
