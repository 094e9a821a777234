"""A fast handler, and handlers that are slow or held."""

import asyncio
import os
import socket
import time

from workers import Decision, Router

router = Router()
_observer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@router.on("request.cancelled")
async def fast(decision: Decision) -> None:
    _observer.sendto(f"{decision.request_id} {time.time():.6f}".encode(), os.environ["BENCH_OBSERVER"])


@router.on("request.completed", response="Slow")
async def slow(decision: Decision) -> None:
    await asyncio.sleep(15)


@router.on("request.completed", response="Held")
async def held(decision: Decision) -> None:
    await asyncio.sleep(0.02)
