"""Handlers whose timeouts are as short as the lives of their drains."""

import asyncio
import time

from tests.processes.handlers import tell
from workers import Decision, Router

router = Router()


@router.on("request.completed", response="Fast", timeout=2.0)
async def fast(decision: Decision) -> None:
    tell("fast", decision, "begin")
    tell("fast", decision, "end")


@router.on("request.completed", response="Slow", timeout=2.0)
async def slow(decision: Decision) -> None:
    tell("slow", decision, "begin")
    await asyncio.sleep(1.6)
    tell("slow", decision, "end")


@router.on("request.completed", response="Stuck", attempts=1, timeout=0.5)
def stuck(decision: Decision) -> None:
    tell("stuck", decision, "begin")
    time.sleep(60.0)
