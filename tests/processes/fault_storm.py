"""A run of many decisions through failing handlers and targets, while work-horses and the server are killed."""

import random
import time

import msgspec

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes import proc
from tests.processes.fault_plan import SEED
from tests.processes.fault_stack import FaultStack
from tests.processes.lease_history import LeaseHistory
from tests.processes.ledger import Execution
from tests.processes.sender import Posting, Sender
from tests.processes.stacks import SECRET, key_of
from tests.processes.targets import Answer
from workers.inbox.queries import lookup, search

DECISIONS = 144
ROUNDS = 12
#: Rounds in which a work-horse is killed, and the one in which the server is gone.
KILLING, WITHOUT_SERVER = (1, 2, 3, 5, 7, 8, 9, 11), 6
OUTAGE = 3.0
#: Seconds within which everything is settled after the last fault.
WITHIN = 60.0

#: How the targets fail, and how often; `gone` ends an effect of an event at once, whichever attempt it is.
FAILURES: dict[Answer, float] = {"trouble": 0.06, "busy": 0.04, "stall": 0.04, "hang up": 0.03, "cut short": 0.03}
GONE = 0.02


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A work-horse was killed, or (pid 0) the server was away."""

    pid: int
    began: float
    ended: float


class FaultStorm:
    """The run as it went: what was sent, what was broken."""

    def __init__(self, stack: FaultStack) -> None:
        self.stack = stack
        self.sender = Sender()
        self.events: list[str] = []
        self.faults: list[Fault] = []
        self.settled_after = 0.0
        self._dice = random.Random(SEED)

    def rage(self) -> None:
        for number in range(ROUNDS):
            self.sender.send([self._make() for _ in range(DECISIONS // ROUNDS)])
            # While much of this burst is still in flight.
            self.stack.pause(self._dice.uniform(0.05, 0.2))
            if number in KILLING:
                self._kill_a_horse()
            if number == WITHOUT_SERVER:
                began, ended = self.stack.go_without_server(OUTAGE)
                self.faults.append(Fault(pid=0, began=began, ended=ended))
            calm_from = time.monotonic()
            self.stack.pause(self._dice.uniform(0.3, 1.5))
        self.stack.wait(lambda: self.sender.finished, WITHIN, "every delivery is taken")
        self.stack.wait_until_settled(WITHIN)
        self.settled_after = time.monotonic() - calm_from

    def records(self) -> list[lookup.EventRecord]:
        return [self.stack.record(event) for event in self.events]

    def effects(self) -> dict[str, lookup.EffectRecord]:
        """How each ended, by ``handler|event``."""
        return {f"{effect.handler}|{record.key}": effect for record in self.records() for effect in record.effects}

    def dead_letters(self) -> set[str]:
        """What a person would find, the same way."""
        return {failure.member for failure in search.failures(self.stack.redis, limit=10_000).failures}

    def leases(self) -> LeaseHistory:
        return LeaseHistory(self.stack.server.folder)

    def faults_between(self, execution: Execution, moment: float) -> list[Fault]:
        """Those that struck this execution, or its settlement, before then."""
        return [
            fault
            for fault in self.faults
            if fault.pid in {0, execution.pid} and execution.begun <= fault.ended and fault.began <= moment
        ]

    def clock_stood(self, settled_at: float, execution: Execution) -> bool:
        """The inbox clock stood still from before an outage of the server until somebody made a tick after it."""
        return any(
            not fault.pid and fault.began - 1.0 <= settled_at <= fault.ended and execution.begun <= fault.ended + 3.0
            for fault in self.faults
        )

    def _make(self) -> Posting:
        body = payload(request_id=f"{self._dice.getrandbits(96):024x}")
        self.events.append(key_of(body))
        url = self.stack.url + WEBHOOKS
        return Posting(url, body, {"content-type": "application/json", **headers(SECRET, body)})

    def _kill_a_horse(self) -> None:
        self.stack.wait(self.stack.horses, 10.0, "a work-horse to kill")
        pid = self._dice.choice(self.stack.horses())
        proc.kill(pid)
        now = time.time()
        self.faults.append(Fault(pid=pid, began=now, ended=now))


def answer(sink: str, event: str, times: int) -> Answer:
    """By dice: the same for the same request in every run."""
    if sink == "crm" and random.Random(f"{SEED}|gone|{event}").random() < GONE:
        return "gone"
    drawn = random.Random(f"{SEED}|{sink}|{event}|{times}").random()
    for failure, share in FAILURES.items():
        if drawn < share:
            return failure
        drawn -= share
    return "taken"
