"""Conditions of `@router.on(...)` gathered, checked against the events, and put in the order to ask them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from hitlsh.events import Trust
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.event_names import NEVER_ANSWERED, OUTCOMES, SOURCES, did_you_mean
from workers.routing.conditions import Choice, Condition, Keys, Predicate, describe_condition
from workers.routing.decision_fields import COMPILERS, needed_fields
from workers.routing.policy import PolicyOptions

NOTHING: frozenset[str] = frozenset()


class RouteOptions(PolicyOptions, total=False):
    """What `on` and `forward` take: conditions, and the policy."""

    loop: Condition
    response: Condition
    response_type: Condition
    reviewer: Condition
    metadata: Keys
    state: Keys
    source: Condition
    outcome: Condition
    trust: Trust
    when: Predicate
    needs: Collection[str]


class Requirement(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One option with its condition: all of a rule's requirements must hold."""

    option: str
    condition: Any
    #: Raises only what a predicate raises.
    test: Callable[[Decision], bool]
    #: Fields, as `Decision.missing` names them, without which the test may be wrong.
    needs: frozenset[str] = frozenset()

    @property
    def asks_user(self) -> bool:
        """The condition is the user's own code: asked last, and only where all else holds."""
        return callable(self.condition)

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NOTHING) -> bool:
        """A field that it needs is missing, may still be read, and could change the answer.

        `settled`: fields that no condition but a function needs: what there is of them is enough.
        """
        needs = self.needs if self.asks_user else self.needs - settled
        if needs.isdisjoint(decision.missing):
            return False
        return self.asks_user or not self.test(decision)

    def describe(self) -> str:
        """As it might be typed: ``loop='65f…'``."""
        return f"{self.option}={describe_condition(self.condition)}"


def compile_options(
    options: Mapping[str, Any], events: Sequence[str], needs: Collection[str] = ()
) -> tuple[Requirement, ...]:
    """The requirements in the order to ask them; raises `RouteInvalid` for one that could never hold.

    `needs`: the fields that the function `when` reads.
    """
    requirements = [
        _requirement(
            option, condition, events, frozenset(needs) if option == "when" else needed_fields(option, condition)
        )
        for option, condition in options.items()
    ]
    return tuple(sorted(requirements, key=lambda made: (made.asks_user, made.option == "when")))


def check_known(options: Collection[str], known: Collection[str]) -> None:
    """Refuse with `RouteInvalid` an option that there is not."""
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise RouteInvalid(f"{option}= is no option{hint}; there are {', '.join(known)}")


def _requirement(option: str, condition: Any, events: Sequence[str], needs: frozenset[str]) -> Requirement:
    if condition is None:
        raise RouteInvalid(
            f"{option}=None is no condition (was a setting empty?): leave {option} out to accept any, "
            f"or write {option}=[None] for decisions without one"
        )
    test = COMPILERS[option](option, condition)
    if not callable(condition):
        _check_against_events(option, condition, events)
    return Requirement(option=option, condition=condition, test=test, needs=needs)


def _check_against_events(option: str, condition: Any, events: Sequence[str]) -> None:
    """Refuse events that the condition would never let through: naming them would have no effect."""
    for event in events:
        if reason := _contradiction(option, condition, event):
            raise RouteInvalid(
                f"{option}={condition!r} can never hold for {event!r}, {reason}: leave {option} out, "
                f"or give {event!r} an @router.on of its own above the same function"
            )


def _contradiction(option: str, condition: Any, event: str) -> str | None:
    if option == "response" and event in NEVER_ANSWERED:
        return None if Choice.of(condition, option).none else "which carries no answer"
    only = _ALWAYS.get(option, {}).get(event)
    if only is None or only in Choice.of(condition, option).strings:
        return None
    return f"whose {option} is always {only!r}"


_ALWAYS = {"outcome": OUTCOMES, "source": SOURCES}
