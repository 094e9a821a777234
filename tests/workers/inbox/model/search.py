"""Every interleaving of a small scenario, breadth first, and what must hold after each step."""

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.workers.inbox.model.rules import Rules, expire
from tests.workers.inbox.model.state import (
    CONFIRMED,
    NOBODY,
    OPEN_STATES,
    Member,
    Request,
    Route,
)  # fmt: skip

PLAIN = Route(name="plain")
STRICT = Route(name="strict", needs=CONFIRMED)
CONFLICTS = Route(name="conflicts", conflict=True)
STRICT_CONFLICTS = Route(name="strict_conflicts", needs=CONFIRMED, conflict=True)

#: When the events happened, by the vendor's time.
ORDER = {"P": 0, "A": 1, "B": 2}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What may happen, and how often."""

    #: (content, level) pairs; each arrives once, or never.
    evidence: tuple[tuple[str, int], ...]
    #: What HITL.sh's API answers to a check: `open`, or the outcome that it confirms.
    truth: str
    #: What a reviewer decides at some moment while the request is open; empty for never.
    decided: str = ""
    #: What `A` and `B` are until the question becomes known: one answer, or two; None where that never happens.
    seems_one_answer: bool | None = None
    routes: tuple[Route, ...] = (PLAIN, STRICT)
    workers: int = 1
    kills: int = 1
    retries: int = 0
    releases: int = 0
    rules: type[Rules] = Rules
    #: Look only for states from which nothing comes to rest.
    losses_only: bool = False


@dataclass(frozen=True)
class Node:
    """A state of the request, and what the search remembers beside it."""

    request: Request
    #: Indexes of the evidence that arrived.
    arrived: frozenset[int] = frozenset()
    #: The reviewer has decided.
    is_decided: bool = False
    #: The question is known.
    is_known: bool = False
    kills: int = 0
    retries: int = 0
    releases: int = 0
    #: (handler, outcome event) pairs that began; not those that a worker began, and died before that was on record.
    began: frozenset[tuple[str, str]] = frozenset()
    #: By level, the first outcome to arrive, since HITL.sh last denied all.
    first: tuple[tuple[int, str], ...] = ()

    def frozen(self) -> tuple[Any, ...]:
        counts = (self.arrived, self.is_decided, self.is_known, self.kills, self.retries, self.releases)
        return (self.request.frozen(), counts, self.began, self.first)


#: Label, whether the step brings the system nearer to rest, and what comes of it.
Step = tuple[str, bool, Node]


def steps(scenario: Scenario, node: Node) -> Iterator[Step]:
    """Everything that may happen next."""
    yield from _arrivals(scenario, node)
    yield from _claims(scenario, node)
    yield from _reports(scenario, node)
    if node.kills < scenario.kills:
        yield from _kills(scenario, node)


def _begin(scenario: Scenario, node: Node) -> tuple[Node, Rules]:
    request = node.request.copy()
    following = Node(
        request, node.arrived, node.is_decided, node.is_known,
        node.kills, node.retries, node.releases, node.began, node.first,
    )  # fmt: skip
    return following, scenario.rules(request, scenario.routes)


def _arrivals(scenario: Scenario, node: Node) -> Iterator[Step]:
    for index, (content, level) in enumerate(scenario.evidence):
        earlier = [other for other in range(index) if scenario.evidence[other] == (content, level)]
        if index not in node.arrived and node.arrived.issuperset(earlier):
            following, rules = _begin(scenario, node)
            following = _accept(following, rules, content, level)
            yield f"{content} arrives at level {level}", False, replace(following, arrived=node.arrived | {index})
    if scenario.decided and not node.is_decided:
        yield f"a reviewer decides {scenario.decided}", False, replace(node, is_decided=True)
    # What was asked is kept with the record of the request, which its first event makes.
    if scenario.seems_one_answer is not None and not node.is_known and node.request.events:
        following, rules = _begin(scenario, node)
        rules.learn_question()
        yield "the question becomes known", False, replace(following, is_known=True)
    if node.request.check:
        following, rules = _begin(scenario, node)
        truth = scenario.decided if node.is_decided else scenario.truth
        if truth == "open":
            had = node.request.decision
            rules.open()
            if had and not following.request.decision:
                following = replace(following, first=())
            yield "a check finds the request open", True, following
        else:
            yield f"a check confirms {truth}", True, _accept(following, rules, truth, CONFIRMED)


def _accept(node: Node, rules: Rules, content: str, level: int) -> Node:
    key = rules.accept(content, level, ORDER[content])
    if content == "P" or level in dict(node.first):
        return node
    return replace(node, first=tuple(sorted([*node.first, (level, key)])))


def _claims(scenario: Scenario, node: Node) -> Iterator[Step]:
    ready = sorted(node.request.due | node.request.later)
    ready += sorted(member for member, holder in node.request.leases.items() if holder == NOBODY)
    for member in ready:
        for worker in range(1, scenario.workers + 1):
            following, rules = _begin(scenario, node)
            if member in following.request.later:  # its time comes
                following.request.later.discard(member)
                following.request.due.add(member)
            if not rules.claim(member, worker):
                continue
            yield f"worker {worker} claims {_name(member)}", True, _note_begun(following, rules, member, worker)


def _note_begun(node: Node, rules: Rules, member: Member, worker: int) -> Node:
    handler, key = member
    event = node.request.events[key]
    if node.request.leases.get(member) != worker or not event.outcome:
        return node
    names = [handler] if handler and _is_wanted(rules, member) else [] if handler else rules.begins(key)
    return replace(node, began=node.began | {(name, key) for name in names})


def _is_wanted(rules: Rules, member: Member) -> bool:
    effect = rules.request.events[member[1]].effects[member[0]]
    [route] = [route for route in rules.routes if route.name == member[0]]
    return rules.wants(route, member[1], effect.evidence, effect.as_conflict)


def _reports(scenario: Scenario, node: Node) -> Iterator[Step]:
    for member, worker in sorted(node.request.leases.items()):
        if worker == NOBODY:
            continue
        handler, key = member
        if not handler:
            following, rules = _begin(scenario, node)
            begun = rules.begins(key)
            rules.route(key)
            yield f"worker {worker} reports the routing of {key}", True, following
            if node.releases < scenario.releases and not begun:
                following, rules = _begin(scenario, node)
                rules.release(member)
                yield (
                    f"worker {worker} gives {_name(member)} back",
                    False,
                    replace(following, releases=node.releases + 1),
                )
            continue
        yield from _ends(scenario, node, member)


def _ends(scenario: Scenario, node: Node, member: Member) -> Iterator[Step]:
    following, rules = _begin(scenario, node)
    if not _is_wanted(rules, member):
        effect = following.request.events[member[1]].effects[member[0]]
        [route] = [route for route in rules.routes if route.name == member[0]]
        waits = rules.waits(route, member[1], effect.evidence, effect.as_conflict)
        verb = "unconfirmed" if waits else "skipped"
        rules.settle(member, verb)
        yield f"{_name(member)} ends: {verb}", True, following
        return
    rules.settle(member, "done")
    yield f"{_name(member)} ends: done", True, following
    if node.retries < scenario.retries:
        following, rules = _begin(scenario, node)
        rules.settle(member, "retry")
        yield f"{_name(member)} ends: retry", False, replace(following, retries=node.retries + 1)
    if node.releases < scenario.releases and not node.request.events[member[1]].effects[member[0]].with_routing:
        following, rules = _begin(scenario, node)
        rules.release(member)
        began = node.began if node.request.events[member[1]].effects[member[0]].begun_before else node.began - {member}
        yield f"{_name(member)} is given back", False, replace(following, releases=node.releases + 1, began=began)


def _kills(scenario: Scenario, node: Node) -> Iterator[Step]:
    for worker in range(1, scenario.workers + 1):
        held = [member for member, holder in node.request.leases.items() if holder == worker]
        if not held:
            continue
        following, rules = _begin(scenario, node)
        began = node.began
        for handler, key in held:
            event = following.request.events[key]
            if not handler:
                recorded = {(name, key) for name, effect in event.effects.items() if effect.begun}
                began -= {(name, key) for name in rules.begins(key)} - recorded
                event.seen = None
        expire(following.request, worker)
        yield (
            f"worker {worker} is killed, its leases run out",
            False,
            replace(following, kills=node.kills + 1, began=began),
        )


def _name(member: Member) -> str:
    return f"{member[0] or 'the routing'} of {member[1]}"


# -- what must hold ----------------------------------------------------------------------------------------------------


def violations(request: Request) -> Iterator[str]:
    """The invariant: whatever is unfinished is due, leased, or waits for something that will certainly happen."""
    turn_moves = request.turn in request.events and any(
        key == request.turn for _, key in (*request.due, *request.later, *request.leases)
    )
    for member in request.turns:
        if member[1] == request.turn:
            yield f"{_name(member)} waits behind its own event"
        elif not turn_moves:
            yield f"{_name(member)} waits for the turn of {request.turn or 'nobody'}, which nothing passes on"
    for key, event in request.events.items():
        members = {("", key): event.state == "due"}
        members |= {(name, key): effect.state in (OPEN_STATES | {"running"}) for name, effect in event.effects.items()}
        for member, is_open in members.items():
            waits = bool(member[0]) and event.effects[member[0]].state == "unconfirmed"
            places = [
                member in request.due,
                member in request.later,
                member in request.leases,
                member in request.turns,
                waits,
            ]
            if sum(places) != is_open:
                yield f"{_name(member)} stands in {sum(places)} places, and is{'' if is_open else ' not'} open"
        is_open = any(members.values())
        if (event.state in ("due", "routed")) != is_open:
            yield f"{key} is {event.state}, and something of it is{'' if is_open else ' not'} open"
        for name, effect in event.effects.items():
            if effect.state != "unconfirmed":
                continue
            if not request.check:
                yield f"{name} of {key} waits for evidence, and no check is scheduled"
            decision = request.events.get(request.decision)
            is_decided = decision is not None and decision.trust == CONFIRMED
            if event.overruled == "open" or is_decided or effect.needs <= event.trust:
                yield f"{name} of {key} waits for evidence that will not come"


def _decision_is_the_strongest(node: Node) -> Iterator[str]:
    if node.request.decision != (node.first[-1][1] if node.first else ""):
        yield f"the decision is {node.request.decision or 'none'}; by level, these came first: {dict(node.first)}"


def _conflicts_are_flagged(scenario: Scenario, node: Node) -> Iterator[str]:
    """Whatever differs from the decision, as far as is known, and nothing else."""
    request = node.request
    for key, event in request.events.items():
        if event.outcome and event.overruled != "open" and request.decision not in ("", key):
            differs = scenario.rules(request, scenario.routes).disagree(key, request.decision)
            if event.conflict != differs:
                yield f"{key} differs from {request.decision}: {differs}, and conflict is {event.conflict}"


def _effects_are_unique(scenario: Scenario, node: Node) -> Iterator[str]:
    for route in scenario.routes:
        events = [key for name, key in node.began if name == route.name]
        if len(events) > 1 and not route.conflict:
            yield f"{route.name} began on {sorted(events)}"
        for key in events:
            effect = node.request.events[key].effects.get(route.name)
            if (
                effect
                and effect.begun
                and effect.evidence < route.needs
                and node.request.events[key].trust < route.needs
            ):
                yield f"{route.name} began on {key} with evidence of level {effect.evidence}"


def _nothing_is_missed(scenario: Scenario, node: Node) -> Iterator[str]:
    """At rest, whoever wants the decision, or a conflict, has had it."""
    request = node.request
    done = {
        (name, key)
        for key, event in request.events.items()
        for name, effect in event.effects.items()
        if effect.state == "done"
    }
    for route in scenario.routes:
        decision = request.events.get(request.decision)
        if (
            decision
            and decision.trust >= route.needs
            and not any(
                name == route.name and (key == request.decision or (name, key) in node.began)
                for name, key in done | node.began
            )
        ):
            yield f"{route.name} never had the decision {request.decision}"
        for key, event in request.events.items():
            if (
                route.conflict
                and event.conflict
                and not event.overruled
                and event.trust >= route.needs
                and (route.name, key) not in done
            ):
                yield f"{route.name} never had the conflict {key}"


def _weaker_changes_nothing(before: Request, after: Request, level: int) -> Iterator[str]:
    """Evidence that is weaker than the decision leaves it, its effects and their places alone."""
    key = before.decision
    if not key or level >= before.events[key].trust:
        return
    if after.decision != key or after.events[key] != before.events[key]:
        yield "weaker evidence changed the decision"
    for members in ("due", "later", "leases", "turns"):
        kept, now = getattr(before, members), getattr(after, members)
        if {member for member in kept if member[1] == key} - set(now):
            yield f"weaker evidence took the decision out of {members}"


def is_at_rest(request: Request) -> bool:
    """Nothing is open."""
    return all(event.state not in ("due", "routed") for event in request.events.values())


# -- the search --------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """What the search came to."""

    states: int = 0
    #: What does not hold, and the steps that led there; None where all holds.
    wrong: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([f"{self.states} states: {self.wrong or 'all holds'}", *self.trace])


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A search keeps millions of tuples, none of them in a cycle: each collection would go through them all."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_garbage_collection()
def search(scenario: Scenario, *, bound: int = 400_000) -> Found:
    """Breadth first, so that the trace of what does not hold is a shortest one."""
    start = Node(Request(is_one_answer=bool(scenario.seems_one_answer)))
    numbers = {start.frozen(): 0}  # of the states, in the order in which they were reached
    parents: list[tuple[int, str] | None] = [None]  # by number: where the state was reached from, and by what step
    nearer: list[list[int]] = [[]]  # by number: from where a step leads here that brings the system nearer to rest
    rested: list[int] = []
    queue = deque([(start, 0)])
    found = Found()
    while queue:
        node, number = queue.popleft()
        found.states += 1
        if found.states > bound:
            raise AssertionError(f"more than {bound} states")
        if is_at_rest(node.request):
            rested.append(number)
            if wrong := next(_missed(scenario, node), None):
                return _blame(found, wrong, number, parents)
        for label, is_nearer, following in steps(scenario, node):
            reached = numbers.setdefault(following.frozen(), len(parents))
            if reached == len(parents):
                parents.append((number, label))
                nearer.append([])
                queue.append((following, reached))
                if wrong := next(_wrong(scenario, following), None):
                    return _blame(found, wrong, reached, parents)
            if is_nearer:
                nearer[reached].append(number)
            if wrong := next(_changed(scenario, node, label, following), None):
                parents[reached] = (number, label)
                return _blame(found, wrong, reached, parents)
    return _blame_restless(found, rested, nearer, parents)


def _missed(scenario: Scenario, node: Node) -> Iterator[str]:
    if not scenario.losses_only:
        yield from _nothing_is_missed(scenario, node)


def _changed(scenario: Scenario, node: Node, label: str, following: Node) -> Iterator[str]:
    content, arrives, level = label.partition(" arrives at level ")
    if arrives and content != "P" and not scenario.losses_only:
        yield from _weaker_changes_nothing(node.request, following.request, int(level))


def _wrong(scenario: Scenario, node: Node) -> Iterator[str]:
    if scenario.losses_only:
        return
    yield from violations(node.request)
    yield from _decision_is_the_strongest(node)
    yield from _conflicts_are_flagged(scenario, node)
    yield from _effects_are_unique(scenario, node)


def _blame_restless(
    found: Found, rested: list[int], nearer: list[list[int]], parents: list[tuple[int, str] | None]
) -> Found:
    """From every state, claims, reports and answers alone must lead to rest."""
    reached, stack = set(rested), list(rested)
    while stack:
        for number in nearer[stack.pop()]:
            if number not in reached:
                reached.add(number)
                stack.append(number)
    restless = next((number for number in range(len(parents)) if number not in reached), None)
    return found if restless is None else _blame(found, "from here nothing comes to rest", restless, parents)


def _blame(found: Found, wrong: str, number: int, parents: list[tuple[int, str] | None]) -> Found:
    found.wrong = wrong
    while (parent := parents[number]) is not None:
        number, label = parent
        found.trace.insert(0, label)
    return found
