"""One handler that moves money, and therefore wants HITL.sh's own word (HITL_HANDLERS of these tests)."""

from tests.processes.reconcile_handlers import tell
from workers import Decision, Router

router = Router()


@router.on("request.completed", trust="confirmed")
async def pay(decision: Decision) -> None:
    tell("pay", decision)
