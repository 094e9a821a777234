"""Proof: what a rule asks of trust, and which events HITL.sh can still be asked to confirm."""

from collections.abc import Callable
from typing import Any

import msgspec

from hitlsh.events import Trust
from workers.conditions import Choice, compile_condition
from workers.decision import Decision
from workers.event_names import OUTCOMES, hears

CONFIRMED: Trust = "confirmed"
LESSER: tuple[Trust, ...] = ("callback", "signed")


class Demand(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A rule's condition on trust, asked of the word alone."""

    accepts: Callable[[Any], bool]
    #: The condition is the user's own code: nobody knows what it says until it is asked.
    is_function: bool

    @classmethod
    def of(cls, condition: Any) -> "Demand":
        return cls(accepts=compile_condition(condition, "trust"), is_function=callable(condition))

    @property
    def strict(self) -> bool:
        """Nothing but confirmed will do; raises what a predicate raises."""
        return self.accepts(CONFIRMED) and not any(map(self.accepts, LESSER))

    @property
    def helped(self) -> bool:
        """Some event of less trust is wanted once it is confirmed; raises what a predicate raises."""
        return self.accepts(CONFIRMED) and not all(map(self.accepts, LESSER))

    @property
    def maybe_helped(self) -> bool:
        """The same without asking a predicate, of which it may be true."""
        return self.is_function or self.helped


def can_be_proven(decision: Decision) -> bool:
    """HITL.sh's API can still confirm it: only of how a request ended does the API tell."""
    return decision.trust != CONFIRMED and decision.outcome is not None and bool(decision.request_id)


def proven(decision: Decision) -> Decision:
    """The same decision, were it confirmed: a conflict would then take the place of what it contradicts."""
    return msgspec.structs.replace(decision, trust=CONFIRMED, overrules=decision.conflict)


def never_proven(condition: Any, event: str) -> bool:
    """The condition takes only what is confirmed, of events (a name or a pattern) that never end a request."""
    ends_requests = any(hears((event,), name) for name in OUTCOMES)
    return not ends_requests and Choice.of(condition, "trust").strings == {CONFIRMED}
