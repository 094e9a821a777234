"""The Lua scripts do what the model does: both take the same steps, and their states are compared after each."""

import asyncio
import re
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.request_details import read_details
from tests.builders import ago, claimed, delivery, key, payload, routed, settled
from tests.workers.inbox.api_reading import save_notes
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.model.rules import Rules
from tests.workers.inbox.model.search import CONFLICTS, PLAIN, STRICT, STRICT_CONFLICTS, Node, Scenario, steps
from tests.workers.inbox.model.state import Member, Request
from tests.workers.inbox.stuck_work import find_stuck
from workers.inbox import keys
from workers.inbox.claims import ClaimedItem
from workers.inbox.settlements import Report
from workers.inbox.tracker.reconcile_lease import Note
from workers.inbox.worker_inbox import WorkerInbox
from workers.trust import LEVELS

pytestmark = pytest.mark.slow

REQUEST = "66c0ffee00000000000000a1"
#: By whether `A` and `B` seem one answer until the question is known: their responses, and the options of the question.
ANSWERS: dict[bool | None, tuple[Any, Any, list[Any]]] = {
    None: ("Approve", "Reject", []),
    False: ("Approve", "Reject", [{"value": "Approve", "label": "Reject"}]),
    True: (
        {"selected_value": "v1", "selected_label": "Yes"},
        "Yes",
        [{"value": "v1", "label": "Yes"}, {"value": "Yes", "label": "No"}],
    ),
}
WORDS = {level: word for word, level in LEVELS.items()}
SCENARIO = Scenario(
    evidence=(*((content, level) for content in "AB" for level in (1, 2, 3)), ("P", 2)),
    truth="open",
    routes=(PLAIN, STRICT, CONFLICTS, STRICT_CONFLICTS),
    kills=3, retries=2, releases=3, workers=2,
)  # fmt: skip


class Inboxes:
    """The real inbox, as workers and HITL.sh take the steps of the model to it."""

    def __init__(self, redis: Redis, inbox: WorkerInbox, seems_one_answer: bool | None) -> None:
        first, second, self.options = ANSWERS[seems_one_answer]
        self.bodies = {
            "A": payload(response_data=first),
            "B": payload(response_data=second, response_at=ago(50)),
            "P": claimed(),
        }
        self.redis = redis
        self.inbox = inbox
        #: What each worker holds.
        self.held: dict[int, dict[str, ClaimedItem]] = {1: {}, 2: {}}
        #: Keys of the events, by their names in the model.
        self.keys: dict[str, str] = {}

    def member(self, text: str) -> str:
        """`plain of A`, `the routing of A`."""
        handler, name = text.split(" of ")
        return f"{'' if handler == 'the routing' else handler}|{self.keys[name]}"

    async def take(self, label: str, before: Node) -> None:
        for pattern, act in self.PATTERNS.items():
            if match := re.fullmatch(pattern, label):
                await act(self, before, *match.groups())
                self._learn_names()
                return
        raise AssertionError(label)

    def _learn_names(self) -> None:
        for name in self.redis.scan_iter(keys.event("*")):
            real = name.decode().removeprefix(keys.event(""))
            body = b"".join(self.redis.hget(name, f"{level}:body") or b"" for level in LEVELS)
            content = "P" if real == key(self.bodies["P"]) else "B" if self.bodies["B"] in body else "A"
            again = f"~{real.partition('~')[2]}" if "~" in real else ""
            self.keys[content + again] = real

    async def _arrive(self, before: Node, content: str, level: str) -> None:
        await self.inbox.accept([delivery(self.bodies[content], trust=WORDS[int(level)])])

    async def _open(self, before: Node) -> None:
        save_notes(self.redis, Note("open", REQUEST))

    async def _learn_question(self, before: Node) -> None:
        details = read_details({"response_type": "single_select", "response_config": {"options": self.options}})
        save_notes(self.redis, Note("details", REQUEST, msgspec.json.encode(details)))

    async def _claim(self, before: Node, worker: str, what: str) -> None:
        held = self.held[int(worker)]
        self.redis.zadd(keys.DUE, {self.member(what): -1}, xx=True)
        for item in (await self.inbox.claim(1, caller="busy" if held else "suspect")).items:
            assert item.lease.member == self.member(what)
            held[item.lease.member] = item

    async def _route(self, before: Node, worker: str, name: str) -> None:
        held = self.held[int(worker)]
        item = held.pop(f"|{self.keys[name]}")
        modes: list[str] = []
        for route, mode in Rules(before.request, SCENARIO.routes).routed_to(name):
            wait = f"await-{WORDS[route.needs]}" if mode == "await" else mode
            modes.append(f"{route.name}:{wait}" + ":conflict" * route.conflict)
            if mode == "run":
                held[f"{route.name}|{item.lease.event_key}"] = item
        await self._report(routed(item, *modes, is_suspect=item.is_suspect))

    async def _end(self, before: Node, what: str, verb: str) -> None:
        member = self.member(what)
        [held] = [held for held in self.held.values() if member in held]
        await self._report(settled(held.pop(member), verb, member.partition("|")[0], after=3_600))

    async def _give_back(self, before: Node, what: str) -> None:
        await self._end(before, what, "release")

    async def _give_routing_back(self, before: Node, worker: str, what: str) -> None:
        await self._end(before, what, "release")

    async def _report(self, report: Report) -> None:
        assert await self.inbox.report([report]) == [True]

    async def _kill(self, before: Node, worker: str) -> None:
        if held := self.held[int(worker)]:
            self.redis.zadd(keys.DUE, dict.fromkeys(held, 0), xx=True)
        held.clear()

    PATTERNS: ClassVar[dict[str, Any]] = {
        r"(.+) arrives at level (.)": _arrive,
        r"the question becomes known": _learn_question,
        r"a check finds the request open": _open,
        r"worker (.) claims (.+)": _claim,
        r"worker (.) reports the routing of (.+)": _route,
        r"worker (.) gives (.+) back": _give_routing_back,
        r"(.+) ends: (.+)": _end,
        r"(.+) is given back": _give_back,
        r"worker (.) is killed, its leases run out": _kill,
    }

    # -- the state ---------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        names = {real: name for name, real in self.keys.items()}
        request = {k.decode(): v.decode() for k, v in self.redis.hgetall(keys.request(REQUEST)).items()}

        def rename(member: bytes) -> Member:
            handler, real = member.decode().split("|", 1)
            return handler, names[real]

        found: dict[str, Any] = {
            "decision": names.get(request.get("event", ""), ""),
            "turn": names.get(request.get("turn", ""), ""),
            "contested": "contested" in request,
            "rivals": "rivals" in request,
            "due": {rename(member) for member in self.redis.zrange(keys.DUE, 0, -1)},
            "leases": {rename(member) for member in self.redis.hkeys(keys.LEASES)},
            "turns": {rename(member) for member in self.redis.zrange(f"{keys.PREFIX}turns:{REQUEST}", 0, -1)},
            "effect": {
                field.removeprefix("effect:"): names[real] for field, real in request.items() if field[:7] == "effect:"
            },
        }
        for name, real in self.keys.items():
            found[name] = self._event(names, real)
        return found

    def _event(self, names: dict[str, str], real: str) -> dict[str, Any]:
        fields = {k.decode(): v.decode(errors="replace") for k, v in self.redis.hgetall(keys.event(real)).items()}
        found: dict[str, Any] = {
            "trust": LEVELS[fields["trust"]],  # type: ignore[index]
            "state": fields["state"],
            "conflict": "conflict" in fields,
            "overruled": names.get(fields.get("overruled", ""), fields.get("overruled", "")),
            "suspect": ":suspect" in fields,
        }
        for handler in filter(None, fields.get("routed_to", "").split(",")):
            found[handler] = {
                "state": fields[f"{handler}:state"],
                "begun": int(fields[f"{handler}:attempts"]) > 0,
                "suspect": f"{handler}:suspect" in fields,
                "overruled": f"{handler}:overruled" in fields,
                "conflict": f"{handler}:conflict" in fields,
            }
        return found


def state_of(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {
        "decision": request.decision,
        "turn": request.turn,
        "contested": request.contested,
        "rivals": request.rivals,
        "due": request.due | request.later | set(request.leases),
        "leases": set(request.leases),
        "turns": set(request.turns),
        "effect": request.effect,
    }
    for name, event in request.events.items():
        fields = ("trust", "state", "conflict", "overruled", "suspect")
        found[name] = {field: getattr(event, field) for field in fields}
        for handler, effect in event.effects.items():
            fields = ("state", "begun", "suspect", "overruled", "conflict")
            found[name][handler] = {field: getattr(effect, field) for field in fields}
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seems_one_answer=st.sampled_from([None, False, True]),
    choices=st.lists(st.integers(0, 10_000), min_size=10, max_size=40),
)
def test_the_inbox_does_what_the_model_does(
    redis: Redis, server: Any, seems_one_answer: bool | None, choices: list[int]
) -> None:
    redis.flushall()
    scenario = replace(SCENARIO, seems_one_answer=seems_one_answer)

    async def walk() -> None:
        async with AsyncRedis.from_url(server.url) as client:
            inboxes = Inboxes(redis, WorkerInbox(client, retention=86_400, lease=15.0), seems_one_answer)
            node, taken = Node(Request(is_one_answer=bool(seems_one_answer))), list[str]()
            for choice in choices:
                possible = list(steps(scenario, node))
                if not possible:
                    return
                label, _, following = possible[choice % len(possible)]
                taken.append(label)
                await inboxes.take(label, node)
                node = following
                assert inboxes.state() == state_of(node.request), "\n".join(taken)
                assert broken(redis) + find_stuck(redis) == [], "\n".join(taken)

    asyncio.run(walk())
