"""The handler of our worker: it reports to the benchmark which request was handled, and when."""

import os
import socket
import time

from workers import Decision, Router

router = Router()
_observer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@router.on("request.completed")
async def handle(decision: Decision) -> None:
    _observer.sendto(f"{decision.request_id} {time.time():.6f}".encode(), os.environ["BENCH_OBSERVER"])
