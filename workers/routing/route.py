"""A route: one handler, and when it is wanted."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from hitlsh.events import Trust
from workers.completion import Need
from workers.decision import Decision, with_trust
from workers.event_names import listens_to
from workers.routing.policy import Policy
from workers.routing.route_options import NOTHING, Requirement
from workers.trust import LEVELS, ends_requests, is_confirmable


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one `@router.on(...)` asks for; all of it must hold."""

    events: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    #: The least that it demands.
    trust: Trust = "callback"
    #: Late or conflicting decisions are wanted too.
    late: bool = False
    conflict: bool = False

    def listens_to(self, event: str) -> bool:
        """An event of that name might be wanted."""
        return listens_to(self.events, event)

    def admits(self, decision: Decision) -> bool:
        """A conflict is wanted where conflicts are, a latecomer where those are, anything else everywhere."""
        return self.conflict if decision.conflict else self.late or not decision.late

    def demands_more(self, decision: Decision) -> bool:
        """The trust of the decision is too little, and some outcome of its request is for this rule."""
        demanded = LEVELS[self.demanded_trust(decision)]
        return demanded > LEVELS[decision.trust] and self.admits(decision) and ends_requests(self.events)

    def demanded_trust(self, decision: Decision) -> Trust:
        """The least trust that it demands of this decision: an answer that was not offered is confirmed first."""
        return "confirmed" if decision.is_doubtful else self.trust

    def _is_open_to(self, decision: Decision) -> bool:
        if (decision.late or decision.conflict) and not self.admits(decision):
            return False
        demanded = self.demanded_trust(decision)
        return demanded == "callback" or LEVELS[decision.trust] >= LEVELS[demanded]

    def matches(self, decision: Decision) -> bool:
        """Whether all holds; raises what a predicate raises."""
        return self.listens_to(decision.event) and self.accepts(decision)

    def accepts(self, decision: Decision) -> bool:
        """As `matches`, for a decision whose event name the rule listens to."""
        if not self._is_open_to(decision):
            return False
        if decision.is_completable and any(requirement.is_undecided(decision) for requirement in self.requirements):
            return False
        for requirement in self.requirements:  # noqa: SIM110 - a generator costs as much as the tests
            if not requirement.test(decision):
                return False
        return True

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NOTHING) -> bool:
        """Whether it holds depends on fields that are missing and may still be read; raises what a predicate raises."""
        if not decision.is_completable or not self.listens_to(decision.event) or not self._is_open_to(decision):
            return False
        undecided = [one for one in self.requirements if one.is_undecided(decision, settled)]
        # What is decided is asked first: a route that is not for the decision anyway needs no read.
        return bool(undecided) and all(
            requirement.test(decision) for requirement in self.requirements if requirement not in undecided
        )

    def describe(self) -> str:
        """One line: ``request.completed [response='Approve', late]``."""
        flags = [flag for flag in ("late", "conflict") if getattr(self, flag)]
        trust = [f"trust={self.trust!r}"] if self.trust != "callback" else []
        spec = ", ".join([*(requirement.describe() for requirement in self.requirements), *trust, *flags])
        return ", ".join(self.events) + (f" [{spec}]" if spec else "")


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

    def listens_to(self, event: str) -> bool:
        """Some rule might want an event of that name; asks no predicate."""
        return any(rule.listens_to(event) for rule in self.rules)

    def matches(self, decision: Decision) -> bool:
        """Whether any rule holds; raises what a predicate raised when none does.

        Of an `otherwise` route only its own rule is asked, not whether other routes match.
        """
        return any_accepts([rule for rule in self.rules if rule.listens_to(decision.event)], decision)

    @property
    def demands_confirmation(self) -> bool:
        """Some rule takes only what HITL.sh's API confirms."""
        return any(rule.trust == "confirmed" for rule in self.rules)

    @property
    def takes_conflicts(self) -> bool:
        """Some rule asks for outcomes that differ from the decision."""
        return any(rule.conflict for rule in self.rules)

    def recognises_answer(self, decision: Decision) -> bool:
        """A rule names the answer as it was delivered."""
        named = (
            one for rule in self.rules for one in rule.requirements if one.option == "response" and not one.asks_user
        )
        return any(one.test(decision) for one in named)

    def waits(self, decision: Decision, settled: frozenset[str] = NOTHING) -> "Wait | None":
        """What it waits for where the trust of the decision is too little for it; never raises.

        Also where the decision as it is would not be for it: what was posted may be forged, to stand where the
        true decision should be.
        """
        if self.is_undecided(decision, settled):
            return Wait(self, "details", is_urgent=True)
        if not is_confirmable(decision):
            return None
        unmet = [rule for rule in self.rules if rule.demands_more(decision)]
        if not unmet or self._may_want(decision, self.rules):
            return None
        needs = min((rule.demanded_trust(decision) for rule in unmet), key=LEVELS.__getitem__)
        is_urgent = self._may_want(with_trust(decision, needs), unmet)
        # A route that demands no trust by itself and does not want the answer has nothing to wait for.
        demands_trust = any(rule.trust != "callback" for rule in unmet)
        return Wait(self, needs, is_urgent=is_urgent) if is_urgent or demands_trust else None

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NOTHING) -> bool:
        """No rule holds as far as is known, and one may once the request has been read; never raises."""
        if not decision.is_completable or self._may_want(decision, self.rules):
            return False
        try:
            return any(rule.is_undecided(decision, settled) for rule in self.rules)
        except Exception:  # noqa: BLE001 - a predicate is the user's: it raises again where that can be seen
            return False

    @staticmethod
    def _may_want(decision: Decision, rules: "Sequence[Rule]") -> bool:
        try:
            return any_accepts([rule for rule in rules if rule.listens_to(decision.event)], decision)
        except Exception:  # noqa: BLE001 - a predicate is the user's: undecided is not unwanted
            return True

    def describe(self) -> str:
        """When it is wanted, and what of its policy is not the default, on one line."""
        wanted = " or ".join(rule.describe() for rule in self.rules)
        policy = self.policy.describe()
        return ("otherwise: " if self.otherwise else "") + wanted + (f" ({policy})" if policy else "")


class Wait(NamedTuple):
    """A route whose effect waits for stronger evidence, or for the details of the request."""

    route: Route
    needs: Need
    #: The decision is, or may be, for the route once it has that; else only to see whether another is.
    is_urgent: bool


def any_accepts(rules: Sequence[Rule], decision: Decision) -> bool:
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
