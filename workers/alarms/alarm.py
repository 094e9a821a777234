"""The values of this package: a rule, the problem that it detects, and the resulting alarm."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from workers.telemetry.escaping import escape

if TYPE_CHECKING:  # the watch loads it at its first reading
    from workers.alarms.reading import AlarmReading

Severity = Literal["warning", "critical"]

#: Seconds that an alarm lasts before people are notified, unless its rule sets another time: a restart is no incident.
TELL_AFTER = 10.0


class Problem(msgspec.Struct, frozen=True):
    """The problem that a rule detects, as a sentence with figures."""

    text: str
    #: What to do next, if the remedy of the rule does not apply.
    remedy: str | None = None


class AlarmRule(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that needs a person."""

    #: Stable; used in metrics, JSON and notices.
    name: str
    severity: Severity
    #: When the alarm is raised; for docs/alarms.md.
    condition: str
    #: What to do next.
    remedy: str
    #: Returns the problem, or None. A plain sentence is a problem with the remedy of the rule.
    check: "Check"
    #: Seconds that the alarm lasts before people are notified.
    tell_after: float = TELL_AFTER


Check: TypeAlias = "Callable[[AlarmReading], Problem | str | None]"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that holds now. Its texts contain no control characters."""

    name: str
    severity: Severity
    #: What is wrong, with figures.
    text: str
    #: What to do next.
    remedy: str


def raised(rule: AlarmRule, reading: "AlarmReading") -> Alarm | None:
    """The alarm of a rule, if its condition holds."""
    problem = rule.check(reading)
    if problem is None:
        return None
    return alarm(rule, Problem(problem) if isinstance(problem, str) else problem)


def alarm(rule: AlarmRule, problem: Problem) -> Alarm:
    """The alarm of a rule for this problem."""
    remedy = rule.remedy if problem.remedy is None else problem.remedy
    return Alarm(name=rule.name, severity=rule.severity, text=escape(problem.text), remedy=escape(remedy))


def worst(alarms: Iterable[Alarm]) -> Severity | None:
    """The highest severity; None without alarms."""
    severities = {one.severity for one in alarms}
    return "critical" if "critical" in severities else "warning" if severities else None
