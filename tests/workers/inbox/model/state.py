"""What is on record of one request, as a value that can be compared and counted.

The names are those of `workers.inbox.keys` and of the Lua scripts. An event is named by its content (`A`, `B`; `P` is
progress, which ends nothing), with `~2` and so on for what is said again after HITL.sh denied it.
"""

from dataclasses import dataclass, field
from typing import Any

CALLBACK, SIGNED, CONFIRMED = 1, 2, 3

#: A member of `due`: (handler, event); the handler is empty for the routing of the event.
Member = tuple[str, str]
#: Whose lease ran out.
NOBODY = 0

OPEN_STATES = frozenset({"due", "retry", "waiting", "unconfirmed"})
ENDED_STATES = frozenset({"done", "skipped", "superseded"})


@dataclass(frozen=True, kw_only=True)
class Route:
    """A handler, and which decisions it demands."""

    name: str
    needs: int = CALLBACK
    conflict: bool = False


@dataclass(kw_only=True, slots=True)
class Effect:
    """The work of one handler on one event."""

    state: str = "due"
    #: An attempt began, and was not given back.
    begun: bool = False
    #: An attempt before this one began.
    begun_before: bool = False
    #: It runs since its event was routed: its worker does not give it back.
    with_routing: bool = False
    #: The trust of the evidence with which it began; 0 before.
    evidence: int = 0
    #: The least trust that it waits for; 0 if it does not wait.
    needs: int = 0
    suspect: bool = False
    overruled: bool = False
    #: Its route asks for conflicts.
    conflict: bool = False
    #: The worker that has it was told that its event is a conflict.
    as_conflict: bool = False

    def frozen(self) -> tuple[Any, ...]:
        flags = (
            self.begun,
            self.begun_before,
            self.with_routing,
            self.suspect,
            self.overruled,
            self.conflict,
            self.as_conflict,
        )
        return (self.state, self.evidence, self.needs, flags)

    def copy(self) -> "Effect":
        new = Effect.__new__(Effect)
        new.state, new.evidence, new.needs = self.state, self.evidence, self.needs
        new.begun, new.begun_before, new.with_routing = self.begun, self.begun_before, self.with_routing
        new.suspect, new.overruled, new.conflict, new.as_conflict = (
            self.suspect, self.overruled, self.conflict, self.as_conflict
        )  # fmt: skip
        return new


@dataclass(kw_only=True, slots=True)
class Event:
    """One event with its effects."""

    #: It ends its request.
    outcome: bool
    #: The vendor's time.
    order: int
    trust: int
    #: `due` until it is routed, `routed` while an effect is open; else how it ended.
    state: str = "due"
    conflict: bool = False
    #: The event that overruled it, or `open`.
    overruled: str = ""
    #: It was the decision once.
    superseded: bool = False
    #: A worker routes it as what it was before: it is routed once more.
    reroute: bool = False
    suspect: bool = False
    #: Of the routing that a worker has: trust, conflict, and whether what matches begins at once.
    seen: tuple[int, bool, bool] | None = None
    effects: dict[str, Effect] = field(default_factory=dict)

    def frozen(self) -> tuple[Any, ...]:
        effects = tuple((name, self.effects[name].frozen()) for name in sorted(self.effects))
        flags = (self.conflict, self.overruled, self.superseded, self.reroute, self.suspect)
        return (self.trust, self.state, flags, self.seen, *effects)

    def copy(self) -> "Event":
        new = Event.__new__(Event)
        new.outcome, new.order, new.trust, new.state = self.outcome, self.order, self.trust, self.state
        new.conflict, new.overruled, new.reroute = self.conflict, self.overruled, self.reroute
        new.suspect, new.seen, new.superseded = self.suspect, self.seen, self.superseded
        new.effects = {name: effect.copy() for name, effect in self.effects.items()}
        return new


@dataclass(kw_only=True, slots=True)
class Request:
    """One request, its events, and what stands in the indexes of it."""

    events: dict[str, Event] = field(default_factory=dict)
    #: The event that is the decision; empty before.
    decision: str = ""
    #: By level, the first outcome of that level.
    speaks: dict[int, str] = field(default_factory=dict)
    #: The event that holds the turn; empty for none.
    turn: str = ""
    #: Has had outcomes that differ.
    rivals: bool = False
    contested: bool = False
    #: `A` and `B` are one answer, as far as is known.
    is_one_answer: bool = False
    #: A check at HITL.sh's API is scheduled.
    check: bool = False
    #: How often HITL.sh did not confirm what waits.
    doubts: int = 0
    #: By handler, the event of which it has its one effect.
    effect: dict[str, str] = field(default_factory=dict)
    #: Due now, and due later.
    due: set[Member] = field(default_factory=set)
    later: set[Member] = field(default_factory=set)
    #: Who holds what; `NOBODY` once the lease ran out.
    leases: dict[Member, int] = field(default_factory=dict)
    #: What waits for the turn, with its place in the line: class first, the vendor's time next.
    turns: dict[Member, tuple[int, int]] = field(default_factory=dict)

    def frozen(self) -> tuple[Any, ...]:
        return (
            tuple((name, self.events[name].frozen()) for name in sorted(self.events)),
            (self.decision, self.turn, self.rivals, self.contested, self.is_one_answer, self.check, self.doubts),
            tuple(sorted(self.speaks.items())),
            tuple(sorted(self.effect.items())),
            tuple(sorted(self.due)),
            tuple(sorted(self.later)),
            tuple(sorted(self.leases.items())),
            tuple(sorted(self.turns.items())),
        )

    def copy(self) -> "Request":
        new = Request.__new__(Request)
        new.events = {name: event.copy() for name, event in self.events.items()}
        new.decision, new.turn, new.rivals = self.decision, self.turn, self.rivals
        new.contested, new.check, new.doubts = self.contested, self.check, self.doubts
        new.is_one_answer = self.is_one_answer
        new.speaks, new.effect = self.speaks.copy(), self.effect.copy()
        new.due, new.later = self.due.copy(), self.later.copy()
        new.leases, new.turns = self.leases.copy(), self.turns.copy()
        return new

    def is_in_due(self, member: Member) -> bool:
        """Now, later, or when its lease runs out."""
        return member in self.due or member in self.later or member in self.leases

    def active(self, key: str) -> bool:
        """An effect of the event runs."""
        return any(handler and event == key for handler, event in self.leases)
