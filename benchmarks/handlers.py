"""The same work for both: tell the benchmark which request was handled, and when."""

import os
import socket
import time
from typing import Any

from workers import Decision, Router

router = Router()
_observer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def tell(request_id: str | None) -> None:
    _observer.sendto(f"{request_id} {time.time():.6f}".encode(), os.environ["BENCH_OBSERVER"])


@router.on("request.completed")
async def ours(decision: Decision) -> None:
    tell(decision.request_id)


def naive(payload: dict[str, Any]) -> None:
    tell(payload["data"]["request"]["id"])
