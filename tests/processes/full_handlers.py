"""One handler whose target is down, with a long traceback, until the gate opens."""

from tests.processes.handlers import gate, tell
from workers import Decision, Router

router = Router()


class TargetDown(Exception):
    """The target does not answer."""


@router.on("request.completed", attempts=1_000, backoff=(0.5, 3))
async def forward(decision: Decision) -> None:
    if not gate().exists():
        raise TargetDown("no answer: " + "x" * 4_000)
    tell("forward", decision, "end")
