"""The values of this package: a rule, the problem that it sees, and the alarm that follows."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:  # the watch loads it at its first reading
    from workers.alarms.reading import AlarmReading

Severity = Literal["warning", "critical"]

#: Seconds that an alarm lasts before it is told, unless its rule says otherwise: a restart is no incident.
TELL_AFTER = 10.0


class Problem(msgspec.Struct, frozen=True):
    """What a rule sees, in a sentence with figures."""

    text: str
    #: What to do next, where the rule's own remedy does not fit.
    remedy: str | None = None


class AlarmRule(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that needs a person."""

    #: Stable: in metrics, in JSON and in what is told.
    name: str
    severity: Severity
    #: When the alarm is raised; for docs/alarms.md.
    condition: str
    #: What to do next.
    remedy: str
    #: The problem, or None. A plain sentence is a problem with the rule's own remedy.
    check: "Check"
    #: Seconds that the alarm lasts before it is told.
    tell_after: float = TELL_AFTER


Check: TypeAlias = "Callable[[AlarmReading], Problem | str | None]"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something is wrong now. Its texts hold no character that steers a terminal."""

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
    return Alarm(name=rule.name, severity=rule.severity, text=_plain(problem.text), remedy=_plain(remedy))


def worst(alarms: Iterable[Alarm]) -> Severity | None:
    """The highest severity; None without any alarm."""
    severities = {one.severity for one in alarms}
    return "critical" if "critical" in severities else "warning" if severities else None


def _plain(text: str) -> str:
    """Names of handlers and errors of HITL.sh come from outside."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
