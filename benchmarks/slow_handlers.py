"""A handler that mostly waits, as most handlers do."""

import asyncio
import os
import socket
import time

from workers import Decision, Router

router = Router()
_observer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@router.on("request.completed")
async def handle(decision: Decision) -> None:
    await asyncio.sleep(0.05)
    _observer.sendto(f"{decision.request_id} {time.time():.6f}".encode(), os.environ["BENCH_OBSERVER"])
