"""Slow handlers beside a fast one."""

import asyncio
import os
import socket
import time

from workers import Decision, Router

router = Router()
_observer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@router.on("request.completed", response="Slow", timeout=11)
async def slow(decision: Decision) -> None:
    await asyncio.sleep(float(os.environ["BENCH_SLOW_SECONDS"]))
    _tell(decision)


@router.on("request.completed", response="Approve", timeout=11)
async def fast(decision: Decision) -> None:
    _tell(decision)


def _tell(decision: Decision) -> None:
    _observer.sendto(f"{decision.request_id} {time.time():.6f}".encode(), os.environ["BENCH_OBSERVER"])
