"""Handlers that record each run in a file outside the processes under test (HITL_HANDLERS of these tests).

One line per record, written at once and in one piece, so that a SIGKILL loses none.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from workers import Decision, Router

router = Router()

#: A held handler looks so often, 20 ms apart, for its gate to open.
LOOKS = 1_500


@router.on("request.completed")
async def quick(decision: Decision) -> None:
    tell("quick", decision, "begin")
    tell("quick", decision, "end")


@router.on("request.completed", response="Pause")
async def pause(decision: Decision) -> None:
    tell("pause", decision, "begin")
    await asyncio.sleep(0.05)
    tell("pause", decision, "end")


@router.on("request.completed", response="Block")
def block(decision: Decision) -> None:
    tell("block", decision, "begin")
    time.sleep(0.02)
    tell("block", decision, "end")


@router.on("request.timeout")
async def expire(decision: Decision) -> None:
    tell("expire", decision, "begin")
    tell("expire", decision, "end")


@router.on("request.completed", response="Hold")
async def hold(decision: Decision) -> None:
    tell("hold", decision, "begin")
    for _ in range(LOOKS):
        if gate().exists():
            break
        await asyncio.sleep(0.02)
    tell("hold", decision, "end")


def tell(handler: str, decision: Decision, what: str) -> None:
    """One line for the observer."""
    line = {"handler": handler, "event": decision.event_key, "what": what, "pid": os.getpid(), "at": time.time()}
    descriptor = os.open(os.environ["OBSERVER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def gate() -> Path:
    """Held handlers continue once this file exists."""
    return Path(os.environ["OBSERVER"]).with_suffix(".gate")
