"""Routes that the operations commands are told of; nothing here runs them."""

from workers import Decision, Router

router = Router()


@router.on("request.completed")
def pay(decision: Decision) -> None:
    """Failed when the event came."""


@router.on("request.completed")
def notify(decision: Decision) -> None:
    """Done when the event came."""


@router.on("request.*")
def audit(decision: Decision) -> None:
    """New since then."""
