"""Faults on demand: armed with a kind and a match, taken when something matches them."""

import random
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import msgspec

from hitl_sandbox.errors import Refusal

FaultKind = Literal[
    # Deliveries
    "drop",
    "duplicate",
    "delay",
    "reorder",
    "corrupt_signature",
    # The API
    "slow",
    "error",
    "rate_limit",
    "truncated_json",
    "wrong_content_type",
    "drift",
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong, how often, and to what.

    ``match`` holds shell patterns over the facts: ``event``, ``channel``, ``request_id``, ``url`` of a
    delivery; ``method``, ``path``, ``key_id`` of an API call.
    """

    kind: FaultKind
    #: How often it strikes; None for ever.
    times: int | None = 1
    probability: float = 1.0
    match: dict[str, str] = {}
    #: How long: virtual seconds for delay and reorder, real seconds for slow.
    seconds: float = 5.0
    #: The status of an error.
    status: int = 500
    #: Whether an error, a truncated or a mistyped reply comes instead of the effect or after it.
    stage: Literal["before", "after"] = "before"
    #: By how many requests a list has grown (or, negative, shrunk) since its first page was read.
    rows: int = 1
    #: How many extra copies a duplicate sends.
    copies: int = 1

    def suits(self, facts: dict[str, str]) -> bool:
        return all(fnmatchcase(facts.get(name, ""), pattern) for name, pattern in self.match.items())


def read_fault(body: Any) -> Fault:
    try:
        return msgspec.convert(body, Fault)
    except msgspec.ValidationError as error:
        kinds = ", ".join(get_args(FaultKind))
        raise Refusal(400, "Invalid fault", f"{error}; kinds are {kinds}") from None


class Faults:
    """The armed faults; the first that matches and wins its draw strikes."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible draws, nothing secret
        self._armed: list[tuple[Fault, int]] = []

    def arm(self, fault: Fault) -> None:
        self._armed.append((fault, 0))

    def clear(self) -> None:
        self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        return [{**msgspec.to_builtins(fault), "struck": struck} for fault, struck in self._armed]

    def take(self, kind: FaultKind, facts: dict[str, str]) -> Fault | None:
        for place, (fault, struck) in enumerate(self._armed):
            spent = fault.times is not None and struck >= fault.times
            if fault.kind != kind or spent or not fault.suits(facts):
                continue
            if self._random.random() < fault.probability:
                self._armed[place] = (fault, struck + 1)
                return fault
        return None
