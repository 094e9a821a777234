"""A route: one handler, and when it is wanted."""

from collections.abc import Callable
from typing import Any

import msgspec

from workers.decision import Decision
from workers.event_names import hears
from workers.options import Requirement
from workers.policy import Policy
from workers.proof import Demand, can_be_proven, proven


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one `@router.on(...)` asks for; all of it must hold."""

    events: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    #: What it asks of trust, which is among its requirements too; None where any will do.
    demand: Demand | None = None
    #: Late or conflicting decisions are wanted too.
    late: bool = False
    conflict: bool = False

    def hears(self, event: str) -> bool:
        """An event of that name might be wanted."""
        return hears(self.events, event)

    def admits(self, decision: Decision) -> bool:
        """A conflict is wanted where conflicts are, a latecomer where those are, anything else everywhere.

        What takes the place of a contradicted event is no conflict to a rule that demands proof: that
        event was never proven, so that nothing ran for it.
        """
        if decision.conflict:
            return self.conflict or self._takes_as_the_first(decision)
        return self.late or not decision.late

    def _takes_as_the_first(self, decision: Decision) -> bool:
        return decision.overrules and self.demand is not None and self.demand.strict

    def matches(self, decision: Decision) -> bool:
        """Whether all holds; raises what a predicate raises."""
        return self.hears(decision.event) and self.accepts(decision)

    def accepts(self, decision: Decision) -> bool:
        """As `matches`, for a decision whose event name is known to be heard."""
        if (decision.late or decision.conflict) and not self.admits(decision):
            return False
        for requirement in self.requirements:  # noqa: SIM110 - a generator costs as much as the tests
            if not requirement.test(decision):
                return False
        return True

    def describe(self) -> str:
        """One line: ``request.completed [response='Approve', late]``."""
        flags = [flag for flag in ("late", "conflict") if getattr(self, flag)]
        asked = ", ".join([*(requirement.describe() for requirement in self.requirements), *flags])
        return ", ".join(self.events) + (f" [{asked}]" if asked else "")


class Route(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One handler with its rules: wanted when any of them holds."""

    #: Effects are kept under it: renaming a route orphans those in flight.
    name: str
    #: The function as it was written.
    handler: Callable[[Decision], Any]
    #: Calling the handler gives a coroutine.
    is_async: bool
    rules: tuple[Rule, ...]
    #: Wanted only where no other route is.
    otherwise: bool = False
    policy: Policy = Policy()

    def hears(self, event: str) -> bool:
        """Some rule might want an event of that name; asks no predicate."""
        return any(rule.hears(event) for rule in self.rules)

    def matches(self, decision: Decision) -> bool:
        """Whether any rule holds; raises what a predicate raised when none does.

        Of an `otherwise` route only its own rule is asked, not whether other routes match.
        """
        return any_accepts(tuple(rule for rule in self.rules if rule.hears(decision.event)), decision)

    @property
    def demands_proof(self) -> bool:
        """Some event of less trust waits for it until HITL.sh confirms it; never raises."""
        return any(rule.demand is not None and _helped(rule.demand) for rule in self.rules)

    def awaits_proof(self, decision: Decision) -> bool:
        """The decision is not wanted as it is, but would be if HITL.sh confirmed it; never raises."""
        if not can_be_proven(decision) or all(rule.demand is None for rule in self.rules):
            return False
        return not self._may_want(decision) and self._may_want(proven(decision))

    def is_denied(self, decision: Decision) -> bool:
        """It takes nothing but what is confirmed, and as it is posted the decision is not for it; never raises.

        That is no proof: what was posted may be forged, and stand where the true decision should be.
        """
        if not can_be_proven(decision) or not any(
            rule.demand is not None and _strict(rule.demand) for rule in self.rules
        ):
            return False
        return not self._may_want(decision) and not self._may_want(proven(decision))

    def _may_want(self, decision: Decision) -> bool:
        try:
            return self.matches(decision)
        except Exception:  # noqa: BLE001 - a predicate is the user's: undecided is not unwanted
            return True

    def describe(self) -> str:
        """When it is wanted, and what of its policy is not the default, on one line."""
        wanted = " or ".join(rule.describe() for rule in self.rules)
        policy = self.policy.describe()
        return ("otherwise: " if self.otherwise else "") + wanted + (f" ({policy})" if policy else "")


def _helped(demand: Demand) -> bool:
    try:
        return demand.helped
    except Exception:  # noqa: BLE001 - a predicate is the user's: undecided is not undemanded
        return True


def _strict(demand: Demand) -> bool:
    try:
        return demand.strict
    except Exception:  # noqa: BLE001 - a predicate is the user's: undecided is not unwanted
        return True


def any_accepts(rules: tuple[Rule, ...], decision: Decision) -> bool:
    """Whether one of the rules holds; one that raises does not hide another that holds."""
    failure: Exception | None = None
    for rule in rules:
        try:
            if rule.accepts(decision):
                return True
        except Exception as error:  # noqa: BLE001 - a predicate is the user's; raised again below
            failure = failure or error
    if failure is not None:
        raise failure
    return False
