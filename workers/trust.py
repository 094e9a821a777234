"""Trust: how we know that a decision is real, and the least that a rule demands of it."""

from typing import Any, get_args

from hitlsh.events import Trust
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.event_names import OUTCOMES, listens_to
from workers.telemetry.name_suggestions import did_you_mean

#: Weakest first: a callback URL of ours, HITL.sh's signature, read at HITL.sh's API.
LEVELS: dict[Trust, int] = {"callback": 1, "signed": 2, "confirmed": 3}


def check_minimum(minimum: Any, events: tuple[str, ...]) -> Trust:
    """The least trust that a rule for these events demands; raises `RouteInvalid` for none that could be met."""
    if minimum not in get_args(Trust):
        hint = did_you_mean(minimum, LEVELS) if isinstance(minimum, str) else ""
        raise RouteInvalid(
            f"trust={minimum!r}: give the least trust that the function demands, one of {', '.join(LEVELS)}{hint}"
        )
    for event in events if minimum == "confirmed" else ():
        if not ends_requests((event,)):
            raise RouteInvalid(
                f"trust={minimum!r} can never hold for {event!r}, which ends no request, so that HITL.sh's API has "
                f"nothing to confirm it with: leave trust out, or give {event!r} an @router.on of its own above the "
                f"same function"
            )
    return minimum  # type: ignore[no-any-return] # it is one of the words


def ends_requests(events: tuple[str, ...]) -> bool:
    """Whether some of these names or patterns match the end of a request."""
    return any(listens_to(events, outcome) for outcome in OUTCOMES)


def is_confirmable(decision: Decision) -> bool:
    """Whether stronger evidence may come: HITL.sh's API tells only how a request ended."""
    return decision.trust != "confirmed" and decision.outcome is not None and bool(decision.request_id)
