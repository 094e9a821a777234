"""300 requests while callbacks are lost, and reconcile runs, the web process and the clock are killed."""

import random
import time
from collections.abc import Callable
from itertools import pairwise

import msgspec

from hitlsh.api import Client
from tests.processes import proc
from tests.processes.lease_history import commands
from tests.processes.reconcile_questions import TIMEOUT, Asker, NewRequest
from tests.processes.reconcile_stack import ReconcileStack
from workers.inbox import keys, webhook_health

REQUESTS, ROUNDS = 300, 6
#: The sandbox's limit; what reconcile runs may use of it is the default share.
CALLS_AN_HOUR = 1_000
#: Seconds without a web process: longer than the sandbox tries to deliver a callback.
OUTAGE = 9.0
#: Reconcile runs that are left alone after one was killed.
UNHARMED = 2
#: Seconds within which a reconcile run must come round to the one call that kills it.
TO_A_CALL = 40.0
#: Seconds within which all is found and handled, once all has ended.
WITHIN = 45.0


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """A reconcile run died, waiting for the reply to its call of that number."""

    at: float
    call: int
    worker: str
    pid: int


class ReconcileStorm:
    """The run as it went: what was asked, what was killed."""

    def __init__(self, stack: ReconcileStack, seed: int) -> None:
        self.stack, self.sandbox, self.gate = stack, stack.sandbox, stack.gate
        self.asked: list[NewRequest] = []
        self.kills: list[Kill] = []
        #: Seconds from the last end of a request to the last handler's.
        self.settled_after = 0.0
        self.took = 0.0
        self._undecided: list[NewRequest] = []
        self._dice = random.Random(seed)

    def rage(self) -> None:
        began = time.monotonic()
        self.stack.wait_for_a_look()
        loop = self.stack.make_loop()
        self.sandbox.fault("drop", times=None, probability=1 / 3, match={"channel": "callback"})
        self.sandbox.fault("duplicate", times=None, probability=1 / 2, match={"channel": "callback"})
        troubles: list[Callable[[], None]] = [
            lambda: self._kill_a_run(call=1),
            self._go_without_the_web,
            lambda: self._kill_a_run(call=2),
            self._kill_the_clock,
            lambda: self._kill_a_run(call=2, worker_too=True),
            self._let_runs_go_on,
        ]
        with self.stack.asker() as ours, self.stack.elsewhere() as others:
            asker = Asker(ours, others, self.stack.asking, loop, self._dice)
            for trouble in troubles:
                self._ask(asker)
                self._decide(others, share=0.5)
                trouble()
                self._decide(others, share=0.5)
            self._decide(others, share=1.0)
        # What nobody answers ends now.
        self.sandbox.advance(TIMEOUT + 1)
        self._wait_until_all_is_told()
        self.took = time.monotonic() - began

    # -- what happens ----------------------------------------------------------------------------------

    def _ask(self, asker: Asker) -> None:
        for _ in range(REQUESTS // ROUNDS):
            asked = asker.ask()
            self.asked.append(asked)
            self._undecided += [asked] if asked.end in {"completed", "cancelled"} else []
            self.stack.stack.check()

    def _decide(self, anybody: Client, *, share: float) -> None:
        """End so many of those that people end."""
        self._dice.shuffle(self._undecided)
        many = round(share * len(self._undecided))
        decided, self._undecided = self._undecided[:many], self._undecided[many:]
        for asked in decided:
            if asked.end == "cancelled":
                anybody.requests.cancel(asked.request)
            else:
                self.sandbox.answer(asked.request, asked.response)
            self.stack.stack.check()

    def _go_without_the_web(self) -> None:
        self.stack.kill("web")
        self.stack.child("web").restart_at = time.monotonic() + OUTAGE
        self._let_runs_go_on()

    def _kill_the_clock(self) -> None:
        self.stack.kill("clock")
        self._let_runs_go_on()

    def _let_runs_go_on(self) -> None:
        enough = len(self.gate.visits) + UNHARMED
        self.stack.wait(lambda: len(self.gate.visits) >= enough, TO_A_CALL, f"{UNHARMED} more reconcile runs begin")

    def _kill_a_run(self, *, call: int, worker_too: bool = False) -> None:
        """In the middle: the call is made and paid for, and its reply on the way."""
        self.gate.hold(call)
        self.stack.wait(lambda: self.gate.held, TO_A_CALL, f"a reconcile run makes its call number {call}")
        name, horse = self.stack.reconciler()
        assert horse, "a call was made, and RQ runs no reconcile run"
        assert self.stack.redis.exists(keys.RECONCILE_LEASE)
        if worker_too:
            self.stack.kill(name)
        proc.kill(horse)
        self.kills.append(Kill(at=time.time(), call=call, worker=name, pid=horse))

    def _wait_until_all_is_told(self) -> None:
        ended = time.monotonic()
        wanted = sorted((handler, one.event) for one in self.asked for handler in one.handlers)
        self.stack.wait(lambda: len(self.stack.handled()) >= len(wanted), WITHIN, "every handler ran")
        self.stack.wait_until_settled()
        self.settled_after = time.monotonic() - ended

    # -- how it went -----------------------------------------------------------------------------------

    def found(self) -> tuple[int, int]:
        """Decisions by webhook, and by reconcile run, as the channel's history has it."""
        hours = webhook_health.history(self.stack.redis, 2)
        return sum(hour.webhook for hour in hours), sum(hour.reconcile for hour in hours)

    def takeovers(self) -> list[float]:
        """Seconds from each kill until another reconcile run made a call."""
        return [
            min(visit.opened - kill.at for visit in self.gate.visits if visit.opened > kill.at) for kill in self.kills
        ]

    def overlaps(self) -> list[str]:
        """Reconcile runs that began before the one before had ended: there must be none."""
        return [
            f"one began {(before.closed or time.time()) - after.opened:.3f} s before the end of the other"
            for before, after in pairwise(self.gate.visits)
            if before.closed is None or before.closed > after.opened
        ]

    def leases(self) -> list[tuple[int, bool]]:
        """Each lease of a reconcile run: its fencing token, and whether it was free. From the server's own file."""
        found, free = list[tuple[int, bool]](), True
        for path in sorted(self.stack.server.folder.glob("appendonlydir/*.incr.aof")):
            with path.open("rb") as file:
                for name, key, *words in commands(file, at_least=2):
                    if key == keys.RECONCILE_LEASE.encode() and name.upper() == b"SET":
                        found.append((int(words[0]), free))
                        free = False
                    elif key == keys.RECONCILE_LEASE.encode() and name.upper() in {b"DEL", b"UNLINK"}:
                        free = True
        return found
