"""One handler that moves money, and therefore demands confirmation (HITL_HANDLERS of these tests)."""

from tests.processes.reconcile_handlers import tell
from workers import Decision, Router

router = Router()


@router.on("request.completed", trust="confirmed")
async def pay(decision: Decision) -> None:
    tell("pay", decision)
