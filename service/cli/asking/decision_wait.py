"""Waits for a decision in the inbox, where a webhook or a reconcile run stores it. Makes no call to HITL.sh."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from redis import Redis, exceptions

from hitlsh.api.models.requests import CreatedRequest
from service.cli.output import cut, echo, print_json, print_table
from service.errors import ServiceError
from workers.decision import ATTRIBUTES, Decision
from workers.inbox import request_records
from workers.inbox.queries import lookup

#: How long after its timeout the outcome of a request may take before the user is told.
GRACE = timedelta(minutes=5)


class RequestUnknown(ServiceError):
    """HITL.sh no longer knows the request, so nothing will decide it."""


def wait_for_decision(redis: Redis, created: CreatedRequest, *, every: float) -> Decision | None:
    """Wait until the inbox has the decision of this request; None when HITL.sh has lost the request.

    `every`: seconds between reads. Waits through a failure of Redis too.
    """
    progress = _Progress(created)
    while True:
        try:
            decision = read_decision(redis, created.request_id)
        except RequestUnknown:
            return None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            progress.redis_failed(error)
        else:
            if decision is not None:
                return decision
            progress.still_open()
        time.sleep(every)


class _Progress:
    """Tells the user what happens while waiting, each thing once."""

    def __init__(self, created: CreatedRequest) -> None:
        self._deadline = None if created.timeout_at is None else created.timeout_at + GRACE
        self._is_redis_down = False

    def redis_failed(self, error: Exception) -> None:
        if not self._is_redis_down:
            echo(f"Redis is unavailable ({type(error).__name__}); still waiting.", err=True)
        self._is_redis_down = True

    def still_open(self) -> None:
        self._is_redis_down = False
        if self._deadline is not None and datetime.now(UTC) > self._deadline:
            echo("Timed out; no outcome received. Do `serve`, `work` and `clock` run?", err=True)
            self._deadline = None


def read_decision(redis: Redis, request_id: str) -> Decision | None:
    """The decision of a request as a handler gets it; None while the request is open. Raises `RequestUnknown`."""
    request = request_records.read(redis, request_id)
    if request is None:
        return None
    if request.status == "lost":
        raise RequestUnknown
    record = lookup.event(redis, request.event) if request.event is not None else None
    stored = record.stored if record is not None else None
    return Decision.from_stored(stored) if stored is not None else None


def show_decision(request_id: str, decision: Decision | None, json_wanted: bool) -> None:
    """Print the decision and who made it; as JSON, every attribute but the body."""
    if decision is None:
        echo(f"HITL.sh no longer knows request {request_id}: its loop or its API key was deleted.", err=True)
    elif json_wanted:
        attributes = {name: getattr(decision, name) for name in ATTRIBUTES if name != "body"}
        print_json(msgspec.to_builtins(attributes))
    else:
        print_table(("ID", "OUTCOME", "SOURCE", "ANSWER", "BY", "TRUST"), [_row(request_id, decision)])


def _row(request_id: str, decision: Decision) -> tuple[Any, ...]:
    by = decision.reviewer and (decision.reviewer.name or decision.reviewer.email or decision.reviewer.id)
    answer = json.dumps(decision.response, ensure_ascii=False) if decision.answered else None
    return request_id, decision.outcome, decision.source, cut(answer), cut(by), decision.trust
