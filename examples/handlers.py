"""Handlers for `make run` and `make demo`: they print what a person decided."""

from workers import Decision, Router

router = Router()


@router.on("request.completed")
async def announce(decision: Decision) -> None:
    who = decision.reviewer.name if decision.reviewer and decision.reviewer.name else "someone"
    print(
        f"{who} answered {decision.response!r} to request {decision.request_id} ({decision.trust})",
        flush=True,
    )


@router.on("request.timeout", "request.cancelled")
def release(decision: Decision) -> None:
    print(f"nobody answered request {decision.request_id}: {decision.outcome}", flush=True)


@router.otherwise
def note(decision: Decision) -> None:
    print(f"{decision.event} ({decision.event_key})", flush=True)
