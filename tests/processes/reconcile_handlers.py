"""Handlers that tell the file outside what was decided, by whom, and how we know (HITL_HANDLERS of these tests)."""

import json
import os
import time

from workers import Decision, Router

router = Router()


@router.on("request.completed", "request.timeout", "request.cancelled")
async def note(decision: Decision) -> None:
    tell("note", decision)


@router.on("request.completed")
def book(decision: Decision) -> None:
    tell("book", decision)


@router.on("request.completed", response=True, trust="confirmed")
async def pay(decision: Decision) -> None:
    tell("pay", decision)


def tell(handler: str, decision: Decision) -> None:
    """One line for the observer, in one piece."""
    line = {
        "handler": handler,
        "event": decision.event_key,
        "request": decision.request_id,
        "outcome": decision.outcome,
        "response": decision.response,
        "source": decision.source,
        "state": decision.state,
        "trust": decision.trust,
        "attempt": decision.attempt,
        "at": time.time(),
    }
    descriptor = os.open(os.environ["OBSERVER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)
