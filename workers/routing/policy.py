"""Retry policy: number of attempts, delays between them, timeout and concurrency."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from workers.errors import RouteInvalid


class PolicyOptions(TypedDict, total=False):
    """Policy options of `on`, `otherwise` and `forward`."""

    attempts: int
    #: The ceiling of the first delay and the longest delay, in seconds.
    backoff: tuple[float, float]
    timeout: float
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a handler is retried. The defaults try for about 24 hours."""

    #: Failed attempts after which the effect is a dead letter.
    attempts: int = 21
    #: Seconds; the ceiling of the first delay, doubled by every further one.
    first_delay: float = 2.0
    #: Seconds; no delay is longer.
    longest_delay: float = 6 * 3_600.0
    #: Seconds that one attempt may take.
    timeout: float = 60.0
    #: How many attempts of this handler may run at once, across all workers; None: no limit of its own.
    concurrency: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Policy":
        """The policy of these options; raises `RouteInvalid` for invalid ones."""
        changes: dict[str, Any] = {}
        for option, value in options.items():
            changes |= _READERS[option](option, value)
        return cls(**changes)

    def delay(self, errors: int) -> float:
        """Seconds until the next attempt after `errors` failed ones: exponential backoff with full jitter."""
        # Jitter, not a secret.
        return random.uniform(0, min(self.longest_delay, self.first_delay * 2 ** min(errors - 1, 64)))  # noqa: S311

    def describe(self) -> str:
        """The options that differ from the defaults, as source code: ``attempts=3, backoff=(1, 60)``."""
        shown = {name: f"{name}={value:g}" for name, value in self._changed().items()}
        if "first_delay" in shown or "longest_delay" in shown:
            shown["backoff"] = f"backoff=({self.first_delay:g}, {self.longest_delay:g})"
        return ", ".join(shown[option] for option in _READERS if option in shown)

    def combined(self, other: "Policy") -> "Policy":
        """The policy with the options of both; raises `RouteInvalid` if they contradict each other."""
        own_changes, other_changes = self._changed(), other._changed()
        if any(own_changes[name] != other_changes[name] for name in own_changes.keys() & other_changes.keys()):
            raise RouteInvalid(
                f"({self.describe()}) and ({other.describe()}) are asked for one function: "
                f"it has one policy, so give each option once"
            )
        return Policy(
            **own_changes, **{name: value for name, value in other_changes.items() if name not in own_changes}
        )

    def _changed(self) -> dict[str, Any]:
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}


def _positive_integer(option: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RouteInvalid(f"{option}={value!r}: give a whole number, 1 or more, or leave {option} out")
    return {option: value}


def _seconds(option: str, value: Any) -> dict[str, Any]:
    if not _is_duration(value):
        raise RouteInvalid(f"{option}={value!r}: give seconds, more than 0, or leave {option} out")
    return {option: float(value)}


def _delays(option: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(map(_is_duration, value)):
        raise RouteInvalid(
            f"{option}={value!r}: give the ceiling of the first delay and the longest delay in seconds, "
            f"such as {option}=(2, 3600)"
        )
    first, longest = value
    if longest < first:
        raise RouteInvalid(
            f"{option}={value!r}: the longest delay is shorter than the first; write {option}=({longest!r}, {first!r})"
        )
    return {"first_delay": float(first), "longest_delay": float(longest)}


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


#: By the option's name, in the order in which messages list them.
_READERS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "attempts": _positive_integer,
    "backoff": _delays,
    "timeout": _seconds,
    "concurrency": _positive_integer,
}
POLICY_OPTIONS = tuple(_READERS)
