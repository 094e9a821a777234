"""Two handlers and two sinks, one of which has a target that may stall."""

import asyncio
import os
import time

from workers import Decision, Router
from workers.sinks import Webhook

router = Router()
target = os.environ["TARGET"]


@router.on("request.completed")
async def book(decision: Decision) -> None:
    await asyncio.sleep(0.005)


@router.on("request.completed")
def note(decision: Decision) -> None:
    time.sleep(0.005)


router.forward(Webhook(f"{target}/good"), on="request.completed", name="good")
router.forward(Webhook(f"{target}/slow", timeout=30.0), on="request.completed", name="slow", concurrency=4)
