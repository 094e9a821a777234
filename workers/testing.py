"""Decisions for the tests of handlers: ``await pay_out(completed("Approve", state={"order": 7}))``.

The body follows what is asked for, as HITL.sh would send it (https://docs.hitl.sh, webhooks): to a
callback URL, or for `claimed`, which only account webhooks tell, in their form.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from hitlsh.callbacks import CallbackState
from hitlsh.events import Event, Reviewer
from hitlsh.request_details import RequestDetails, merge_details
from workers.completion import KnownDetails
from workers.decision import ATTRIBUTES, Decision, StoredEvent
from workers.event_names import OUTCOMES, SOURCES, did_you_mean

#: When everything happens here, unless another time is given.
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
REVIEWER = Reviewer(id="5f0000000000000000000001", name="Robin Example", email="robin@example.com")

#: What follows from other fields cannot be set.
_SETTABLE = tuple(name for name in ATTRIBUTES if name not in {"missing", "unexpected"})
_REQUEST = "6a0000000000000000000001"
_LOOP = "7b0000000000000000000001"
_STATUSES = {**OUTCOMES, "request.created": "pending", "request.claimed": "claimed"}


def decision(**changes: Any) -> Decision:
    """A person's "Approve", with any field of `Decision` changed and those that depend on it following.

    Raises TypeError for a name that is no field.
    """
    for name in changes:
        if name not in _SETTABLE:
            raise TypeError(
                f"decision({name}=...): a Decision has no {name!r}{did_you_mean(name, _SETTABLE)}; "
                f"it has {', '.join(_SETTABLE)}"
            )
    fields = _coherent(changes)
    fields = {"body": _body(fields), **fields}
    attempt = fields.pop("attempt", 1)
    event = Event(
        name=fields["event"],
        key=fields["event_key"],
        **{name: value for name, value in fields.items() if name in Event.__struct_fields__},
    )
    of_record = {name: value for name, value in fields.items() if name in StoredEvent.__struct_fields__}
    known = KnownDetails(asked=_asked(fields), callback=CallbackState(state=fields.get("state")))
    return Decision.from_stored(StoredEvent(**{**of_record, "event": event, "known": known}), attempt=attempt)


def _asked(fields: dict[str, Any]) -> RequestDetails:
    names = [name for name in ("response_type", "loop_id", "loop_name", "default_response") if name in fields]
    details = RequestDetails(**{name: fields[name] for name in names}, context=fields.get("metadata"))
    question = fields.get("question")
    return details if question is None else merge_details([question, details])


def completed(response: Any = "Approve", **changes: Any) -> Decision:
    """A person answered."""
    return decision(**{"event": "request.completed", "response": response, **changes})


def timed_out(default_response: Any = None, **changes: Any) -> Decision:
    """Nobody answered in time; HITL.sh would have assumed `default_response`."""
    return decision(**{"event": "request.timeout", "default_response": default_response, **changes})


def cancelled(**changes: Any) -> Decision:
    """The request was withdrawn."""
    return decision(**{"event": "request.cancelled", **changes})


def claimed(**changes: Any) -> Decision:
    """A person took the request up, and has not answered yet."""
    return decision(**{"event": "request.claimed", **changes})


def _coherent(changes: dict[str, Any]) -> dict[str, Any]:
    """All fields: those asked for, and the others so that they fit."""
    event = changes.get("event") or f"request.{changes.get('outcome') or 'completed'}"
    answered = event == "request.completed"
    if changes.get("overrules"):
        changes = {"trust": "confirmed", **changes}
    claims = event == "request.claimed"
    occurred_at = changes.get("occurred_at", NOW)
    about_request = event.startswith("request.")
    request_id = changes.get("request_id", _REQUEST if about_request else None)
    response = changes.get("response", "Approve" if answered else None)
    fields = {
        "event": event,
        "event_key": f"{event}:{request_id or 'example'}" + (f":{occurred_at:%Y-%m-%dT%H:%M:%SZ}" if claims else ""),
        "variant": "nested" if claims else "callback-v2",
        "trust": "signed" if claims else "callback",
        "received_at": NOW,
        "request_id": request_id,
        "loop_id": _LOOP if about_request else None,
        "status": _STATUSES.get(event),
        "outcome": OUTCOMES.get(event),
        "source": SOURCES.get(event),
        "response": response,
        "response_type": _response_type(response),
        "reviewer": REVIEWER if answered or claims else None,
        "occurred_at": occurred_at,
        **changes,
    }
    return {**fields, "labels": tuple(fields.get("labels", ()))}


def _response_type(response: Any) -> str | None:
    if isinstance(response, bool):
        return "boolean"
    types = {str: "single_select", list: "multi_select", int: "number", float: "number"}
    return next((word for kind, word in types.items() if isinstance(response, kind)), None)


def _body(fields: dict[str, Any]) -> bytes:
    payload = _account_webhook(fields) if fields["variant"] == "nested" else _callback(fields)
    return msgspec.json.encode(payload)


def _callback(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "event": fields["event"],
        "request_id": fields["request_id"],
        "loop_id": fields["loop_id"],
        "status": fields["status"],
        "response_data": _response_data(fields["response"], fields["response_type"], fields["labels"]),
        "response_by": _person(fields["reviewer"]),
        "response_at": fields["occurred_at"] if fields["response"] is not None else None,
        "created_at": NOW,
    }


def _account_webhook(fields: dict[str, Any]) -> dict[str, Any]:
    request = {"id": fields["request_id"], "loop_id": fields["loop_id"], "status": fields["status"]}
    return {
        "event": fields["event"],
        "timestamp": fields["occurred_at"],
        "data": {
            "request": {**request, "response_data": fields["response"], "created_at": NOW},
            "loop": {"id": fields["loop_id"], "name": fields.get("loop_name")},
            "reviewer": _person(fields["reviewer"]),
        },
    }


def _person(reviewer: Reviewer | None) -> dict[str, str | None] | None:
    if reviewer is None:
        return None
    return {"user_id": reviewer.id, "name": reviewer.name, "email": reviewer.email}


#: Where a callback carries the answer and its labels, by response type; other types stand bare.
_KEYS = {
    "single_select": ("selected_value", "selected_label"),
    "multi_select": ("selected_values", "selected_labels"),
    "rating": ("rating", "rating_label"),
    "number": ("number", "formatted_value"),
    "boolean": ("boolean", "boolean_label"),
}


def _response_data(response: Any, response_type: str | None, labels: tuple[str, ...]) -> Any:
    if response is not None and response_type == "editable_text":
        return {"revised_text": response, "was_edited": True}
    if response is None or response_type not in _KEYS:
        return response
    value, label = _KEYS[response_type]
    if not labels:
        return {value: response}
    return {value: response, label: list(labels) if response_type == "multi_select" else labels[0]}
