"""Handlers of traced processes: one with a span of its own, one that fails at first, one that calls out, and a sink."""

import os

import httpx
from opentelemetry import trace

from workers import Decision, RetryLater, Router
from workers.sinks import Webhook

router = Router()
target = os.environ["TARGET"]
tracer = trace.get_tracer("traced_handlers")


@router.on("request.completed")
async def pay_out(decision: Decision) -> None:
    with tracer.start_as_current_span("own step"):
        pass


@router.on("request.completed", response="Fail once", backoff=(0.05, 0.05))
def fail_once(decision: Decision) -> None:
    if decision.attempt == 1:
        raise ValueError("ada@example.com")


@router.on("request.completed", response="Postpone")
async def postpone(decision: Decision) -> None:
    if decision.attempt == 1:
        raise RetryLater(3600)


@router.on("request.completed", response="Call")
def call(decision: Decision) -> None:
    httpx.post(f"{target}/accounts/ada@example.com?token=secret", timeout=10.0).raise_for_status()


@router.on("request.completed", response="Reject", conflict=True)
async def audit(decision: Decision) -> None: ...


router.forward(Webhook(f"{target}/hooks/secret"), on="request.completed", response="Forward", name="hook")
