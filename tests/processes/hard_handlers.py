"""Handlers that kill their process, never return, or keep the event loop to themselves."""

import asyncio
import ctypes
import os
import time

from tests.processes.ledger import executing
from workers import Decision, Router

router = Router()


@router.on("request.completed", response="Exit")
async def exits(decision: Decision) -> None:
    with executing("exits", decision):
        await asyncio.sleep(0.05)
        os._exit(1)


@router.on("request.completed", response="Segfault")
def segfaults(decision: Decision) -> None:
    with executing("segfaults", decision):
        time.sleep(0.05)
        ctypes.string_at(0)


@router.on("request.completed", response="Stuck", attempts=1, timeout=0.5)
def stuck(decision: Decision) -> None:
    with executing("stuck", decision):
        time.sleep(3_600)


@router.on("request.completed", response="Rude")
async def rude(decision: Decision) -> None:
    with executing("rude", decision):
        time.sleep(3.0)


@router.on("request.completed", response="Freeze")
async def frozen(decision: Decision) -> None:
    """Long enough for a test to stop its process meanwhile."""
    with executing("frozen", decision):
        await asyncio.sleep(0.5)


@router.on("request.completed", response="Long")
async def long(decision: Decision) -> None:
    with executing("long", decision):
        await asyncio.sleep(3.0)


@router.on("request.completed")
async def neighbour(decision: Decision) -> None:
    with executing("neighbour", decision):
        await asyncio.sleep(0.3)


@router.on("request.completed", response={"Stuck", "Quick"})
def plain_neighbour(decision: Decision) -> None:
    with executing("plain_neighbour", decision):
        time.sleep(0.2)


@router.on("request.completed", response="Stuck", timeout=10)
async def slow_neighbour(decision: Decision) -> None:
    with executing("slow_neighbour", decision):
        await asyncio.sleep(1.5)
