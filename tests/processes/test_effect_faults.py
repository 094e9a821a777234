"""144 decisions, 4 handlers and 2 sinks each, and everything fails: each effect ends settled or as a dead letter."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.processes.fault_plan import ATTEMPTS, HANDLERS, SINKS, THREADED, TIMEOUT
from tests.processes.fault_stack import FaultStack
from tests.processes.fault_storm import DECISIONS, FaultStorm, answer
from tests.processes.ledger import Execution
from tests.processes.targets import Target
from workers.handlers.effects import MAX_CRASHES
from workers.inbox.queries import lookup

#: Seconds within which the end of an execution is on record, when nothing is killed.
SETTLED = 0.5


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStorm]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        Target(answer, folder / "ledger.sqlite") as target,
        FaultStack(folder, "fault_handlers", {"TARGET": target.url}) as stack,
    ):
        storm = FaultStorm(stack.ready())
        try:
            storm.rage()
            yield storm
        finally:
            storm.sender.close()


@pytest.mark.slow
def test_every_effect_ends_settled_or_as_a_dead_letter(storm: FaultStorm) -> None:
    effects = storm.effects()
    failed = {name for name, effect in effects.items() if effect.state == "failed"}

    print(table(storm))

    assert effects.keys() == {f"{handler}|{event}" for handler in HANDLERS for event in storm.events}
    assert len(effects) == DECISIONS * len(HANDLERS)
    assert {effect.state for effect in effects.values()} == {"done", "failed"}
    assert storm.dead_letters() == failed
    assert all(effects[name].error for name in failed)


@pytest.mark.slow
def test_what_is_done_was_done_and_what_failed_failed_often_enough(storm: FaultStorm) -> None:
    executions = storm.stack.ledger.by_effect()
    taken = {f"{sink}|{event}" for sink, event, said in storm.stack.ledger.requests() if said in {"taken", "gone"}}

    for name, effect in storm.effects().items():
        if effect.state == "done":
            assert [one for one in executions[name] if one.outcome == "returned"], name
            assert effect.handler not in SINKS or name in taken, name
        else:
            gave_up = (effect.error or "").startswith("GiveUp")
            assert gave_up or effect.errors + 1 >= ATTEMPTS or effect.crashes >= MAX_CRASHES, (name, effect)


@pytest.mark.slow
def test_nothing_begins_after_its_effect_was_settled(storm: FaultStorm) -> None:
    effects = storm.effects()
    late = [
        one
        for one in storm.stack.ledger.executions()
        if one.begun > settled_at(effects[one.effect]) and not storm.clock_stood(settled_at(effects[one.effect]), one)
    ]

    assert late == []


@pytest.mark.slow
def test_every_settlement_was_under_the_lease_of_that_moment(storm: FaultStorm) -> None:
    leases = storm.leases()

    assert leases.settlements >= DECISIONS * len(HANDLERS)
    assert leases.unfenced == []
    assert leases.repeated == []
    assert leases.held == {}
    for name, effect in storm.effects().items():
        assert leases.passed_on[name] == effect.crashes, name


@pytest.mark.slow
def test_every_repeated_execution_is_explained(storm: FaultStorm) -> None:
    reasons = repeats(storm)
    unexplained = [
        (earlier, later, storm.faults)
        for runs in storm.stack.ledger.by_effect().values()
        for earlier, later in pairwise(runs)
        if reason(storm, earlier, later) == "nothing explains it"
    ]

    assert not unexplained, "\n".join(map(repr, unexplained))
    assert {"it raised", "it timed out", "its work-horse was killed"} <= reasons.keys()


@pytest.mark.slow
def test_the_record_accounts_for_every_execution(storm: FaultStorm) -> None:
    executions = storm.stack.ledger.by_effect()

    for record in storm.records():
        routed_again = record.routing.crashes if record.routing else 0
        for effect in record.effects:
            runs = executions[f"{effect.handler}|{record.key}"]
            counted = succeeded(effect) + effect.errors + effect.crashes + stopped(effect)
            assert effect.attempts == counted, (record.key, effect)
            assert len(runs) <= effect.attempts + routed_again, (record.key, effect)
            assert effect.errors - is_poison(effect) <= sum(went_wrong(one) for one in runs), (record.key, effect)


def succeeded(effect: lookup.EffectRecord) -> int:
    """Attempts that are no failures: of a dead letter, the last one is."""
    return effect.state != "failed"


def is_poison(effect: lookup.EffectRecord) -> bool:
    """Its last attempt did not run: too many workers had died with it."""
    return effect.state == "failed" and "workers died" in (effect.error or "")


def settled_at(effect: lookup.EffectRecord) -> float:
    assert effect.settled_at is not None
    return effect.settled_at.timestamp()


def went_wrong(execution: Execution) -> bool:
    """It raised or timed out (a killed process may not have recorded that)."""
    return execution.outcome != "returned" or timed_out(execution, execution.ended or execution.begun)


def timed_out(execution: Execution, until: float) -> bool:
    return execution.handler in THREADED and until - execution.begun >= TIMEOUT


def stopped(effect: lookup.EffectRecord) -> int:
    """Attempts that a drain cut short because the thread of another effect did not end: neither error nor crash."""
    count = effect.attempts - succeeded(effect) - effect.errors - effect.crashes
    remembered = sum(one.end == "retry" and not one.error for one in effect.failed_attempts)
    assert remembered <= count <= remembered + effect.attempts - len(effect.failed_attempts), effect
    return count


def repeats(storm: FaultStorm) -> Counter[str]:
    by_effect = storm.stack.ledger.by_effect().values()
    return Counter(reason(storm, *pair) for runs in by_effect for pair in pairwise(runs))


def reason(storm: FaultStorm, earlier: Execution, later: Execution) -> str:
    """Why an effect was run again."""
    if earlier.outcome == "CancelledError":
        return "it timed out"
    if earlier.outcome not in {None, "returned"}:
        return "it raised"
    on_record = later.begun if earlier.ended is None else earlier.ended + SETTLED
    for fault in storm.faults_between(earlier, min(on_record, later.begun)):
        return "its work-horse was killed" if fault.pid else "the server was away for longer than its lease"
    if timed_out(earlier, earlier.ended or later.begun):
        return "it timed out"
    if stopped(storm.effects()[earlier.effect]):
        return "its drain ended"
    return "nothing explains it"


def table(storm: FaultStorm) -> str:
    effects, leases = storm.effects(), storm.leases()
    by_effect = storm.stack.ledger.by_effect()
    rows = {
        "faults": f"{sum(fault.pid > 0 for fault in storm.faults)} work-horses killed, the server away once",
        "effects": told(Counter(effect.state for effect in effects.values())),
        "executions each": told(Counter(len(runs) for runs in by_effect.values())),
        "repeated because": told(repeats(storm)),
        "target answered": told(Counter(said for _, _, said in storm.stack.ledger.requests())),
        "leases passed on": str(leases.passed_on.total()),
        "refused as late": str(len(storm.stack.logged("effect.lease_lost"))),
        "work-horses": f"{len({one.pid for one in storm.stack.ledger.executions()})} used, "
        f"{len(storm.stack.logged('drain.recycled'))} recycled",
        "settled after": f"{storm.settled_after:.1f} s",
    }
    return "\n" + "\n".join(f"{name:<18} {what}" for name, what in rows.items())


def told(counted: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items(), key=lambda pair: str(pair[0])))
