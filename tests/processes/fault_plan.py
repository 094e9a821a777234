"""What fails how often: by dice, the same for the same event and attempt in every run."""

import random
from typing import Literal

from workers import Decision
from workers.routing.policy import PolicyOptions

SEED = 11
TIMEOUT = 0.5
ATTEMPTS = 4
#: Of the events, so many that `pay` fails for on every attempt.
CURSED = 0.03
POLICY: PolicyOptions = {"attempts": ATTEMPTS, "backoff": (0.1, 0.4), "timeout": TIMEOUT}
#: `def` handlers: what outlives its timeout here goes on until its process ends.
THREADED = ("book", "archive")
SINKS = ("crm", "chat")
HANDLERS = ("pay", "notify", *THREADED, *SINKS)


def cursed(event: str) -> bool:
    return random.Random(f"{SEED}|cursed|{event}").random() < CURSED


def fate(
    handler: str, decision: Decision, *, raises: float, outlives: float = 0.0
) -> Literal["raise", "outlive", "work"]:
    drawn = roll(handler, decision).random()
    return "raise" if drawn < raises else "outlive" if drawn < raises + outlives else "work"


def roll(handler: str, decision: Decision) -> random.Random:
    return random.Random(f"{SEED}|{handler}|{decision.event_key}|{decision.attempt}")
