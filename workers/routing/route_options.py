"""Compiles the conditions of `@router.on(...)`: checks them against the events, and orders the tests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from hitlsh.events import Trust
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.event_names import NEVER_ANSWERED, OUTCOMES, SOURCES
from workers.routing.conditions import Choice, Condition, Keys, Predicate, describe_condition
from workers.routing.decision_fields import COMPILERS, needed_fields
from workers.routing.policy import PolicyOptions
from workers.telemetry.name_suggestions import closest_or_all

NO_FIELDS: frozenset[str] = frozenset()


class RouteOptions(PolicyOptions, total=False):
    """Options of `on` and `forward`: conditions and retry policy."""

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
    """One option with its condition. All requirements of a rule must hold."""

    option: str
    condition: Any
    #: Raises only what a predicate raises.
    test: Callable[[Decision], bool]
    #: Fields, as `Decision.missing` names them, without which the test may be wrong.
    needs: frozenset[str] = frozenset()

    @property
    def is_user_code(self) -> bool:
        """The condition is the user's function: it is called last, and only if all else holds."""
        return callable(self.condition)

    def is_undecided(self, decision: Decision, settled: frozenset[str] = NO_FIELDS) -> bool:
        """Whether a field that the test needs is missing, and could change its result.

        `settled`: fields whose delivered form suffices, except for functions.
        """
        needs = self.needs if self.is_user_code else self.needs - settled
        if needs.isdisjoint(decision.missing):
            return False
        return self.is_user_code or not self.test(decision)

    def describe(self) -> str:
        """The requirement as source code: ``loop='65f…'``."""
        return f"{self.option}={describe_condition(self.condition)}"


def compile_options(
    options: Mapping[str, Any], events: Sequence[str], needs: Collection[str] = ()
) -> tuple[Requirement, ...]:
    """The requirements in test order; raises `RouteInvalid` for one that can never hold.

    `needs`: fields that the function `when` reads.
    """
    requirements = [
        _requirement(
            option, condition, events, frozenset(needs) if option == "when" else needed_fields(option, condition)
        )
        for option, condition in options.items()
    ]
    return tuple(sorted(requirements, key=lambda each: (each.is_user_code, each.option == "when")))


def check_option_names(options: Collection[str], allowed: Collection[str]) -> None:
    """Raise `RouteInvalid` for an unknown option."""
    for option in options:
        if option not in allowed:
            raise RouteInvalid(f"{option}= is no option: {closest_or_all(option, allowed)}")


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
    """Raise `RouteInvalid` for an event for which the condition can never hold."""
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
