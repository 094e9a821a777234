"""A route: one handler, and the rules for when it runs. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from hitlsh.events import Trust
from workers.completion import Need
from workers.decision import Decision, with_trust
from workers.event_names import listens_to
from workers.routing.policy import Policy
from workers.routing.route_options import NO_FIELDS, Requirement
from workers.trust import LEVELS, ends_requests, is_confirmable


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The conditions of one `@router.on(...)`; all must hold."""

    events: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    #: The least trust that it demands.
    trust: Trust = "callback"
    #: Whether it also runs for late decisions, and for conflicting ones.
    late: bool = False
    conflict: bool = False

    def listens_to(self, event: str) -> bool:
        """Whether the rule names this event."""
        return listens_to(self.events, event)

    def permits_late_or_conflict(self, decision: Decision) -> bool:
        """Whether the options `conflict` and `late` permit the decision."""
        return self.conflict if decision.conflict else self.late or not decision.late

    def needs_more_trust(self, decision: Decision) -> bool:
        """Whether the rule demands more trust than the decision has, and may run for an outcome of its request."""
        demanded = LEVELS[self.demanded_trust(decision)]
        return (
            demanded > LEVELS[decision.trust] and self.permits_late_or_conflict(decision) and ends_requests(self.events)
        )

    def demanded_trust(self, decision: Decision) -> Trust:
        """The least trust for this decision; ``confirmed`` for an answer that was not among the options."""
        return "confirmed" if decision.is_doubtful else self.trust

    def _permits(self, decision: Decision) -> bool:
        if (decision.late or decision.conflict) and not self.permits_late_or_conflict(decision):
            return False
        demanded = self.demanded_trust(decision)
        return demanded == "callback" or LEVELS[decision.trust] >= LEVELS[demanded]

    def matches(self, decision: Decision) -> bool:
        """Whether all conditions hold; raises what a predicate raises."""
        return self.listens_to(decision.event) and self.accepts(decision)

    def accepts(self, decision: Decision) -> bool:
        """`matches` for a decision whose event name the rule listens to."""
        if not self._permits(decision):
            return False
        if decision.is_completable and any(requirement.is_undecided(decision) for requirement in self.requirements):
            return False
        for requirement in self.requirements:  # noqa: SIM110 - a generator costs as much as the tests
            if not requirement.test(decision):
                return False
        return True

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NO_FIELDS) -> bool:
        """Whether the result depends on missing fields that can still be read; raises what a predicate raises."""
        if not decision.is_completable or not self.listens_to(decision.event) or not self._permits(decision):
            return False
        undecided = [each for each in self.requirements if each.is_undecided(decision, settled)]
        # If another requirement fails anyway, no read is needed.
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
    """One handler with its rules: it runs if any of them holds."""

    #: Effects are stored under this name: renaming a route orphans its open effects.
    name: str
    #: The user's function.
    handler: Callable[[Decision], Any]
    #: Calling the handler returns a coroutine.
    is_async: bool
    rules: tuple[Rule, ...]
    #: Runs only if no other route does.
    otherwise: bool = False
    policy: Policy = Policy()

    def listens_to(self, event: str) -> bool:
        """Whether a rule names this event; calls no predicate."""
        return any(rule.listens_to(event) for rule in self.rules)

    def matches(self, decision: Decision) -> bool:
        """Whether any rule holds; if none does, raises what a predicate raised.

        For an `otherwise` route only its own rule is tested, not whether other routes match.
        """
        return any_accepts([rule for rule in self.rules if rule.listens_to(decision.event)], decision)

    @property
    def demands_confirmation(self) -> bool:
        """A rule accepts only confirmed decisions."""
        return any(rule.trust == "confirmed" for rule in self.rules)

    @property
    def takes_conflicts(self) -> bool:
        """A rule asks for outcomes that differ from the decision."""
        return any(rule.conflict for rule in self.rules)

    def recognises_answer(self, decision: Decision) -> bool:
        """Whether a rule names the answer in the delivered spelling."""
        named = (
            each
            for rule in self.rules
            for each in rule.requirements
            if each.option == "response" and not each.is_user_code
        )
        return any(each.test(decision) for each in named)

    def waits(self, decision: Decision, settled: frozenset[str] = NO_FIELDS) -> "Wait | None":
        """What the route waits for if the decision has too little trust or too few fields; never raises.

        It may wait even if it would not run for the decision as delivered: a forged delivery may hide the true one.
        """
        if self.is_undecided(decision, settled):
            return Wait(self, "details", is_urgent=True)
        if not is_confirmable(decision):
            return None
        unmet = [rule for rule in self.rules if rule.needs_more_trust(decision)]
        if not unmet or self._may_want(decision, self.rules):
            return None
        needs = min((rule.demanded_trust(decision) for rule in unmet), key=LEVELS.__getitem__)
        is_urgent = self._may_want(with_trust(decision, needs), unmet)
        # A route that demands no trust and does not match the answer has nothing to wait for.
        demands_trust = any(rule.trust != "callback" for rule in unmet)
        return Wait(self, needs, is_urgent=is_urgent) if is_urgent or demands_trust else None

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NO_FIELDS) -> bool:
        """Whether no rule holds yet, and one may hold once the request has been read; never raises."""
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
        """The rules, and the policy where it differs from the defaults, on one line."""
        rules = " or ".join(rule.describe() for rule in self.rules)
        policy = self.policy.describe()
        return ("otherwise: " if self.otherwise else "") + rules + (f" ({policy})" if policy else "")


class Wait(NamedTuple):
    """A route whose effect waits for stronger evidence, or for the details of the request."""

    route: Route
    needs: Need
    #: The route runs, or may run, for the decision once it has that; else it waits only to see whether another outcome
    #: is true.
    is_urgent: bool


def any_accepts(rules: Sequence[Rule], decision: Decision) -> bool:
    """Whether a rule holds; raises a rule's exception only if no other rule holds."""
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
