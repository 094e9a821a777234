"""One sink's target accepts and never answers: all other effects keep their pace."""

import statistics
import uuid
from collections.abc import Iterator

import pytest

from tests.builders import payload
from tests.processes.fault_stack import FaultStack
from tests.processes.targets import Answer, Target
from workers.inbox.event_records import EventRecord

#: More than a worker has room for (50), so that without a cap the slow sink alone would fill it.
EVENTS = 60
#: Seconds between two of them.
PACE = 0.02
OTHERS = ("book", "note", "good")
#: What the stall may cost the others: generous, because other things run on this machine. Who waits for the slow sink
#: waits for seconds.
FACTOR, GRACE = 3.0, 0.5


class Slow:
    """A stack whose slow target takes everything, or stalls."""

    def __init__(self, stack: FaultStack, target: Target) -> None:
        self.stack, self.target = stack, target
        self.stalls = False
        target.rule = self.answer

    def answer(self, sink: str, _event: str, _times: int) -> Answer:
        return "stall" if self.stalls and sink == "slow" else "taken"

    def send(self, count: int = EVENTS) -> list[str]:
        events = []
        for _ in range(count):
            events.append(self.stack.send(payload(request_id=uuid.uuid4().hex)))
            self.stack.pause(PACE)
        return events

    def paces(self, events: list[str]) -> dict[str, tuple[float, float]]:
        """Median and 95th percentile of each of the others."""
        records = [self.stack.record(event) for event in events]
        return {handler: pace([seconds(record, handler) for record in records]) for handler in OTHERS}


@pytest.fixture
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    folder = tmp_path_factory.mktemp("slow")
    with (
        Target(lambda *_: "taken", folder / "ledger.sqlite") as target,
        FaultStack(folder, "slow_sink_handlers", {"TARGET": target.url}, workers=1) as stack,
    ):
        yield Slow(stack.ready(), target)
        target.go_on.set()


@pytest.mark.slow
def test_while_one_sink_stalls_the_others_keep_their_pace(slow: Slow) -> None:
    slow.send(10)  # the first ones start a work-horse and open its connections
    slow.stack.wait_until_settled(20.0)
    before = slow.paces(slow.send())
    slow.stalls = True

    events = slow.send()
    slow.stack.pause(1.0)
    during = slow.paces(events)

    print(table(before, during))
    for handler in OTHERS:
        for normal, stalled in zip(before[handler], during[handler], strict=True):
            assert stalled <= FACTOR * normal + GRACE, handler
    assert states(slow, events) <= {"running", "waiting", "due"}
    assert {slow.stack.record(event).state for event in events} == {"routed"}

    slow.stalls = False
    slow.target.go_on.set()
    slow.stack.wait_until_settled(20.0)
    slow.stack.wait(lambda: states(slow, events) == {"done"}, 20.0, "the slow sink has taken everything")
    assert {slow.stack.record(event).state for event in events} == {"done"}


def states(slow: Slow, events: list[str]) -> set[str]:
    return {slow.stack.states(event)["slow"] for event in events}


def seconds(record: EventRecord, handler: str) -> float:
    """From the acceptance of the event to the end of this effect."""
    [effect] = [effect for effect in record.effects if effect.handler == handler]
    assert effect.state == "done", (record.key, effect)
    assert effect.settled_at is not None
    return (effect.settled_at - record.accepted_at).total_seconds()


def pace(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]


def table(before: dict[str, tuple[float, float]], during: dict[str, tuple[float, float]]) -> str:
    rows = [
        f"{handler:<6} median {before[handler][0] * 1000:6.1f} -> {during[handler][0] * 1000:6.1f} ms"
        f"   p95 {before[handler][1] * 1000:6.1f} -> {during[handler][1] * 1000:6.1f} ms"
        for handler in OTHERS
    ]
    return "\n" + "\n".join(rows)
