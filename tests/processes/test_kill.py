"""300 deliveries while every kind of process is killed: the observer must see each decision handled."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest

from hitlsh.samples.catalog import sample
from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.inbox_records import recent
from tests.processes import proc
from tests.processes.sender import Posting, Sender
from tests.processes.stacks import LEASE, SECRET, SLACK, LiveStack, key_of
from workers.inbox import keys

DELIVERIES = 300
ROUNDS = 15
#: Of the deliveries, so many are sent a second time.
REPEATED = 0.1
KINDS = ["horse", "worker", "web", "clock", "server"]
JSON = {"content-type": "application/json"}

#: What the router of tests.processes.handlers promises, said again without it.
WANTED = {"Approve": {"quick"}, "Pause": {"quick", "pause"}, "Block": {"quick", "block"}, None: {"expire"}}


#: Seconds within which the end of a run is on record, when nothing is killed.
SETTLED = 0.5


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """A process of some kind was killed between these moments: finding it takes a while."""

    kind: str
    pid: int
    at: float
    done: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A work-horse ran an effect; `end` is None if it never came to that."""

    pid: int
    begin: float
    end: float | None

    def settled_before(self, moment: float) -> bool:
        return self.end is not None and self.end + SETTLED < moment


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Storm"]:
    with LiveStack(tmp_path_factory.mktemp("storm")) as stack:
        storm = Storm(stack, random.Random(7))
        try:
            storm.rage()
            yield storm
        finally:
            storm.sender.close()


class Storm:
    """The whole test as it went: what was sent, what was killed, what the observer saw."""

    def __init__(self, stack: LiveStack, dice: random.Random) -> None:
        self.stack, self.dice = stack, dice
        self.sender = Sender()
        self.wanted: dict[str, set[str]] = {}
        self.kills: list[Kill] = []
        self.settled_after = 0.0

    def rage(self) -> None:
        rounds = KINDS * (ROUNDS // len(KINDS))
        self.dice.shuffle(rounds)
        for kind in rounds:
            self.see_that_it_lives(kind)
            self.sender.send([posting for _ in range(DELIVERIES // ROUNDS - 1) for posting in self.make()])
            # While the burst of this round is still under way, for most of the kills.
            self.stack.pause(self.dice.uniform(0.0, 0.08))
            at = time.time()
            pid = self.stack.kill(kind)
            self.kills.append(Kill(kind=kind, pid=pid, at=at, done=time.time()))
            calm_from = time.monotonic()
            self.stack.pause(self.dice.uniform(0.0, 1.5))
        self.stack.wait(lambda: self.sender.finished, 2 * (LEASE + SLACK), "every delivery is taken")
        self.stack.wait_until_settled(2 * (LEASE + SLACK))
        self.settled_after = time.monotonic() - calm_from

    def make(self) -> list[Posting]:
        """One delivery, sometimes twice."""
        response = self.dice.choice(list(WANTED))
        signed = self.dice.random() < 0.5
        name = ("nested." if signed else "callback-v2.") + ("timeout" if response is None else "completed")
        request_id = f"{self.dice.getrandbits(96):024x}"
        body = sample(name, request_id=request_id, response=msgspec.UNSET if response is None else response)
        self.wanted[key_of(body)] = WANTED[response]
        url = self.stack.url + (WEBHOOKS if signed else self.stack.callback_path({"order": 0}))
        posting = Posting(url, body, JSON | (headers(SECRET, body) if signed else {}))
        return [posting] * (2 if self.dice.random() < REPEATED else 1)

    def see_that_it_lives(self, kind: str) -> None:
        """Wait until there is such a process; a work-horse comes only with work, so here is some."""
        first = self.make()
        deadline = time.monotonic() + LEASE + SLACK
        while True:
            self.sender.send(first)
            self.stack.pause(0.1)
            if proc.alive(self.stack.pid(kind)):
                return
            assert time.monotonic() < deadline, f"no {kind} to kill"

    def runs(self) -> dict[tuple[str, str], list[Run]]:
        """Every effect with each time that a handler began it."""
        happenings = self.stack.observer.happenings()
        ends = {(one.event, one.handler, one.pid): one.at for one in happenings if one.what == "end"}
        effects: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for one in happenings:
            if one.what == "begin":
                end = ends.get((one.event, one.handler, one.pid))
                effects[one.event, one.handler].append(Run(pid=one.pid, begin=one.at, end=end))
        return effects

    def reason(self, earlier: Run, later: Run) -> str:
        """Why an effect was run again."""
        for kill in self.kills:
            in_flight = earlier.begin <= kill.done and kill.at <= later.begin and not earlier.settled_before(kill.at)
            if in_flight and kill.pid == earlier.pid:
                return "its work-horse was killed"
            if in_flight and kill.kind == "server":
                return "its lease ran out while the server was away"
        return "nothing explains it"


@pytest.mark.slow
def test_every_decision_reached_every_handler_that_wants_it(storm: Storm) -> None:
    done = defaultdict(set)
    for one in storm.stack.observer.happenings():
        if one.what == "end":
            done[one.event].add(one.handler)

    assert len(storm.wanted) == DELIVERIES
    assert done == storm.wanted


@pytest.mark.slow
def test_every_repeated_run_was_in_flight_when_something_was_killed(storm: Storm) -> None:
    effects = storm.runs()
    times = Counter(len(runs) for runs in effects.values())
    reasons = Counter(storm.reason(*pair) for runs in effects.values() for pair in pairwise(runs))

    print(table(storm, times, reasons))

    unexplained = [
        (earlier, later, [kill for kill in storm.kills if earlier.begin - 1 < kill.at < later.begin])
        for runs in effects.values()
        for earlier, later in pairwise(runs)
        if storm.reason(earlier, later) == "nothing explains it"
    ]
    assert not unexplained, "\n".join(map(repr, unexplained))
    assert times[1] > 0.8 * times.total()


@pytest.mark.slow
def test_every_effect_is_settled_once_and_nothing_is_left(storm: Storm) -> None:
    records = [storm.stack.record(event) for event in storm.wanted]

    assert {record.state for record in records} == {"done"}
    assert {effect.state for record in records for effect in record.effects} == {"done"}
    assert storm.stack.open_work() == (0, 0)
    assert storm.stack.redis.zcard(keys.FAILED) == 0
    assert len(list(recent(storm.stack.redis, 2 * DELIVERIES))) == DELIVERIES


@pytest.mark.slow
def test_everything_ends_within_a_lease_and_five_seconds_after_the_last_kill(storm: Storm) -> None:
    assert storm.settled_after <= LEASE + SLACK


def table(storm: Storm, times: Counter[int], reasons: Counter[str]) -> str:
    kills = Counter(kill.kind for kill in storm.kills)
    rows = [
        ("kills", ", ".join(f"{kind} {count}" for kind, count in sorted(kills.items()))),
        ("answers", ", ".join(f"{status or 'none'} {count}" for status, count in sorted(storm.sender.answers.items()))),
        ("runs per effect", ", ".join(f"{many}x {count}" for many, count in sorted(times.items()))),
        ("repeats because", ", ".join(f"{reason} {count}" for reason, count in reasons.items()) or "none"),
        ("settled after", f"{storm.settled_after:.1f} s"),
    ]
    return "\n" + "\n".join(f"{name:<16} {what}" for name, what in rows)
