"""Handlers for `make run`: they print what a person decided."""

from workers import Decision, Router

router = Router()


@router.on("request.completed")
async def announce(decision: Decision) -> None:
    reviewer = decision.reviewer.name if decision.reviewer and decision.reviewer.name else "Somebody"
    print(
        f"{reviewer} answered {decision.response!r} to request {decision.request_id} ({decision.trust})",
        flush=True,
    )


@router.on("request.timeout", "request.cancelled")
def release(decision: Decision) -> None:
    print(f"Nobody answered request {decision.request_id}: {decision.outcome}", flush=True)


@router.otherwise
def note(decision: Decision) -> None:
    print(f"{decision.event} ({decision.event_key})", flush=True)
