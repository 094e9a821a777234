"""Faults on demand: a test arms a fault with a kind and a match, and the first match triggers it."""

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
    """A fault, its subjects and its number of occurrences.

    `match` holds shell patterns for the attributes of the subject: ``event``, ``channel``, ``request_id`` and ``url``
    of a delivery; ``method``, ``path`` and ``key_id`` of an API call.
    """

    kind: FaultKind
    #: The number of occurrences; None for no limit.
    times: int | None = 1
    probability: float = 1.0
    match: dict[str, str] = {}
    #: The duration: sandbox seconds for delay and reorder, real seconds for slow.
    seconds: float = 5.0
    #: The status of an error.
    status: int = 500
    #: Whether an error replaces the effect of the call or follows it.
    stage: Literal["before", "after"] = "before"
    #: The number of requests by which a list has grown (negative: shrunk) since its first page was read.
    rows: int = 1
    #: The number of extra copies that a duplicate sends.
    copies: int = 1

    def matches(self, subject: dict[str, str]) -> bool:
        return all(fnmatchcase(subject.get(name, ""), pattern) for name, pattern in self.match.items())


def read_fault(body: Any) -> Fault:
    try:
        return msgspec.convert(body, Fault)
    except msgspec.ValidationError as error:
        kinds = ", ".join(get_args(FaultKind))
        raise Refusal(400, "Invalid fault", f"{error}; kinds are {kinds}") from None


class Faults:
    """The armed faults. Of those that match, the first that passes its probability occurs."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible draws, nothing secret
        self._armed: list[tuple[Fault, int]] = []

    def arm(self, fault: Fault) -> None:
        self._armed.append((fault, 0))

    def clear(self) -> None:
        self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        return [{**msgspec.to_builtins(fault), "occurrences": occurrences} for fault, occurrences in self._armed]

    def take(self, kind: FaultKind, subject: dict[str, str]) -> Fault | None:
        """The fault that occurs to the subject, counted; None when there is none."""
        for index, (fault, occurrences) in enumerate(self._armed):
            is_spent = fault.times is not None and occurrences >= fault.times
            if fault.kind != kind or is_spent or not fault.matches(subject):
                continue
            if self._random.random() < fault.probability:
                self._armed[index] = (fault, occurrences + 1)
                return fault
        return None
