"""Four handlers and two sinks that fail by dice."""

import asyncio
import os
import time

from tests.processes.fault_plan import POLICY, SINKS, TIMEOUT, cursed, fate, roll
from tests.processes.ledger import executing
from workers import Decision, Router
from workers.sinks import Webhook

router = Router()


class Trouble(Exception):
    """What these handlers raise."""


@router.on("request.completed", **POLICY)
async def pay(decision: Decision) -> None:
    with executing("pay", decision):
        if cursed(decision.event_key) or fate("pay", decision, raises=0.1) == "raise":
            raise Trouble("no money")
        await asyncio.sleep(roll("pay", decision).uniform(0.0, 0.05))


@router.on("request.completed", **POLICY)
async def notify(decision: Decision) -> None:
    with executing("notify", decision):
        match fate("notify", decision, raises=0.05, outlives=0.04):
            case "raise":
                raise Trouble("nobody listens")
            case "outlive":
                await asyncio.sleep(60)
            case "work":
                await asyncio.sleep(roll("notify", decision).uniform(0.0, 0.3))


@router.on("request.completed", **POLICY)
def book(decision: Decision) -> None:
    with executing("book", decision):
        if fate("book", decision, raises=0.1) == "raise":
            raise Trouble("the book is closed")
        time.sleep(roll("book", decision).uniform(0.0, 0.03))


@router.on("request.completed", **POLICY)
def archive(decision: Decision) -> None:
    with executing("archive", decision):
        match fate("archive", decision, raises=0.05, outlives=0.015):
            case "raise":
                raise Trouble("the archive is full")
            case "outlive":
                time.sleep(2 * TIMEOUT)


class Told:
    """A webhook whose executions stand in the ledger, as those of handlers do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._webhook = Webhook(f"{os.environ['TARGET']}/{name}", timeout=0.8 * TIMEOUT)

    async def send(self, decision: Decision) -> None:
        with executing(self.name, decision):
            await self._webhook.send(decision)


for name in SINKS:
    router.forward(Told(name), on="request.completed", **POLICY)
