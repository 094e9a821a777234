"""Events that do not end a request: turns, workflow executions, loops, users, the system, and the withdrawn API.

Follows https://docs.hitl.sh, "Sessions", "Make", "Webhooks" and "Global webhooks".
"""

from typing import Any

from hitlsh.events import Event, LoopMember
from hitlsh.webhooks import event_keys
from hitlsh.webhooks.outcomes import Json
from hitlsh.webhooks.payload_fields import (
    event_name,
    identifier,
    loop_member,
    mapping,
    name_and_status,
    outcome,
    parse_time,
    reviewer,
    text,
)
from hitlsh.webhooks.responses import parse_response

#: The payload form of events whose payload is not documented, by the family before the dot.
_NAMED_ONLY = {
    "api_key": "nested",
    "loop": "global",
    "user": "global",
    "system": "global",
    "template": "legacy-r0",
}


def turn(payload: Json, turn: Json, body: bytes) -> Event | None:
    """Read an event of a turn of an agent session. The request behind the turn reports its outcome itself."""
    name, turn_id = event_name(payload.get("event")), identifier(turn.get("id"))
    if name is None:
        return None
    answer = parse_response(turn.get("human_decision"))
    timestamp = payload.get("timestamp")
    if name == "turn.resolved":  # a turn is resolved once
        key = event_keys.single_key(name, turn_id, body)
    else:
        key = event_keys.repeatable_key(name, turn_id, timestamp, body)
    return Event(
        variant="turn.resolved",
        name=name,
        key=key,
        request_id=identifier(turn.get("request_id")),
        status=text(turn.get("status")),
        source=None if answer.value is None else "human",
        response=answer.value,
        response_type=answer.type,
        labels=answer.labels,
        occurred_at=parse_time(timestamp, turn.get("updated_at")),
        created_at=parse_time(turn.get("created_at")),
        session_id=identifier(payload.get("session_id"), turn.get("session_id")),
    )


def execution(payload: Json, body: bytes) -> Event | None:
    """Read the end of a workflow execution."""
    name, state = name_and_status("execution", event_name(payload.get("event")), text(payload.get("status")))
    if name is None:
        return None
    completed = outcome(state) == "completed"
    answer = parse_response(payload.get("response_data") if completed else None)
    person = reviewer(payload.get("response_by_user"), payload.get("response_by")) if completed else None
    return Event(
        variant="make-workflow",
        name=name,
        key=event_keys.single_key(name, identifier(payload.get("execution_id")), body),
        request_id=identifier(payload.get("request_id")),
        status=state,
        # A workflow can complete without asking a person.
        source=None if answer.value is None and person is None else "human",
        response=answer.value,
        response_type=text(payload.get("response_type")) or answer.type,
        labels=answer.labels,
        reviewer=person,
        occurred_at=parse_time(payload.get("completed_at"), payload.get("timestamp")),
        created_at=parse_time(payload.get("created_at")),
        was_edited=answer.was_edited,
        workflow_id=identifier(payload.get("workflow_id")),
        execution_id=identifier(payload.get("execution_id")),
    )


def membership(payload: Json, data: Json, loop: Json, body: bytes) -> Event | None:
    """Read an account webhook about a loop and one of its members."""
    member = mapping(data.get("member")) or {}
    ids = (identifier(loop.get("id")), identifier(member.get("user_id"), member.get("id")))
    resource_id = ":".join(part for part in ids if part)
    return _plain_event(
        "nested",
        payload,
        resource_id,
        body,
        loop_id=ids[0],
        loop_name=text(loop.get("name")),
        member=loop_member(member),
    )


def loop_or_user(payload: Json, data: Json, body: bytes) -> Event | None:
    """Read a global webhook about a loop, a user or the system."""
    ids = (identifier(data.get("loop_id")), identifier(data.get("user_id")))
    resource_id = ":".join(part for part in ids if part)
    loop_name = text(data.get("name")) if ids[0] else None
    return _plain_event("global", payload, resource_id, body, loop_id=ids[0], loop_name=loop_name)


def named_only(payload: Json, body: bytes) -> Event | None:
    """Read an event whose payload is not documented."""
    family, dot, _ = (event_name(payload.get("event")) or "").partition(".")
    variant = _NAMED_ONLY.get(family) if dot else None
    return _plain_event(variant, payload, None, body) if variant else None


def legacy(payload: Json, review: Json, body: bytes) -> Event | None:
    """Read an event of the withdrawn first API. A review is not a request, so the event has no outcome."""
    name, review_id = event_name(payload.get("event")), identifier(review.get("id"), review.get("review_id"))
    if name is None:
        return None
    completed = name == "review.completed"
    answer = parse_response(_review_answer(review.get("result")) if completed else None)
    timestamp = payload.get("timestamp")
    return Event(
        variant="legacy-r0",
        name=name,
        key=event_keys.repeatable_key(name, review_id, timestamp, body),
        request_id=review_id,
        status=text(review.get("status")),
        source=None if answer.value is None else "human",
        response=answer.value,
        response_type=answer.type,
        labels=answer.labels,
        reviewer=reviewer(review.get("reviewer"), review.get("reviewer_id")) if completed else None,
        metadata=mapping(review.get("metadata")),
        occurred_at=parse_time(review.get("completed_at") if completed else None, timestamp),
        created_at=parse_time(review.get("created_at")),
    )


def _review_answer(result: Any) -> Any:
    """Take the answer out of ``review.result``: its pages call it ``approved`` or ``approval``, or give text."""
    fields = mapping(result)
    if fields is None:
        return result
    names = ("approved", "approval", "content")
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _plain_event(
    variant: str,
    payload: Json,
    resource_id: str | None,
    body: bytes,
    *,
    loop_id: str | None = None,
    loop_name: str | None = None,
    member: LoopMember | None = None,
) -> Event | None:
    name, timestamp = event_name(payload.get("event")), payload.get("timestamp")
    if name is None:
        return None
    return Event(
        variant=variant,
        name=name,
        key=event_keys.repeatable_key(name, resource_id, timestamp, body),
        loop_id=loop_id,
        loop_name=loop_name,
        member=member,
        occurred_at=parse_time(timestamp),
    )
