"""Waiting for a decision in the inbox, where a webhook or a reconcile run brings it: no call to HITL.sh."""

import json
import time
from datetime import UTC, datetime, timedelta

import msgspec
from redis import Redis, exceptions

from hitlsh.api.models.requests import CreatedRequest
from service.cli.api.tables import cell
from service.cli.output import echo, print_json, print_table
from service.errors import ServiceError
from workers.decision import ATTRIBUTES, Decision
from workers.inbox import request_records
from workers.inbox.queries import lookup

#: How long after its timeout the outcome of a request may take before a person is told.
GRACE = timedelta(minutes=5)


class RequestUnknown(ServiceError):
    """HITL.sh does not know the request any more, so nothing will decide it."""


def wait_for_decision(redis: Redis, created: CreatedRequest, *, every: float) -> Decision | None:
    """Return the decision of this request once the inbox has it; None when HITL.sh has lost the request.

    `every`: seconds between reads. Also waits while Redis does not answer.
    """
    notices = _Notices(created)
    while True:
        try:
            decision = decision_of(redis, created.request_id)
        except RequestUnknown:
            return None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            notices.unreachable(error)
        else:
            if decision is not None:
                return decision
            notices.still_open()
        time.sleep(every)


class _Notices:
    """Tells whoever waits of trouble, once for each kind."""

    def __init__(self, created: CreatedRequest) -> None:
        self._deadline = None if created.timeout_at is None else created.timeout_at + GRACE
        self._is_unreachable = False

    def unreachable(self, error: Exception) -> None:
        if not self._is_unreachable:
            echo(f"Redis does not answer ({type(error).__name__}); still waiting", err=True)
        self._is_unreachable = True

    def still_open(self) -> None:
        self._is_unreachable = False
        if self._deadline is not None and datetime.now(UTC) > self._deadline:
            echo("Timed out; no outcome received. Check that `serve`, `work` and `clock` run.", err=True)
            self._deadline = None


def decision_of(redis: Redis, request_id: str) -> Decision | None:
    """Return the decision that ended this request; None while it is open. Raises `RequestUnknown`."""
    request = request_records.read(redis, request_id)
    if request is None:
        return None
    if request.status == "lost":
        raise RequestUnknown
    record = lookup.event(redis, request.event) if request.event is not None else None
    stored = record.stored if record is not None else None
    return Decision.from_stored(stored) if stored is not None else None


def show_decision(request_id: str, decision: Decision | None, json_wanted: bool) -> None:
    """Print what was decided and by whom; as JSON, every attribute but the body."""
    if decision is None:
        echo(f"HITL.sh does not know request {request_id} any more: its loop was deleted, or its key.", err=True)
    elif json_wanted:
        attributes = {name: getattr(decision, name) for name in ATTRIBUTES if name != "body"}
        print_json(msgspec.to_builtins(attributes))
    else:
        print_table(("ID", "OUTCOME", "SOURCE", "ANSWER", "BY", "TRUST"), [_row(request_id, decision)])


def _row(request_id: str, decision: Decision) -> tuple[str, ...]:
    reviewer = decision.reviewer and (decision.reviewer.name or decision.reviewer.email or decision.reviewer.id)
    answer = json.dumps(decision.response, ensure_ascii=False) if decision.answered else None
    return tuple(
        cell(value) for value in (request_id, decision.outcome, decision.source, answer, reviewer, decision.trust)
    )
