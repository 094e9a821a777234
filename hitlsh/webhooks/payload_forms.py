"""The payload forms of https://docs.hitl.sh, told apart by their keys.

The order of the tests matters: each form is tested for only when the earlier ones do not fit.
"""

from hitlsh.events import Event
from hitlsh.webhooks import lifecycle, outcomes
from hitlsh.webhooks.outcomes import Json, RequestReport
from hitlsh.webhooks.payload_fields import identifier, mapping, text

#: Events of an outcome: only a form about a request may hold them.
_ENDINGS = frozenset({"request.completed", "request.timeout", "request.cancelled"})
_GLOBAL_REQUEST = ("decision", "reviewer_id", "content_type", "assigned_at")
_GLOBAL = ("loop_id", "user_id", "metrics", "error_code")


def recognise(payload: Json, body: bytes) -> Event | None:
    """Return the event of a payload; None when it has no documented form."""
    event = _recognise(payload, body)
    if event is not None and event.outcome is None and event.name in _ENDINGS:
        return None
    return event


def _recognise(payload: Json, body: bytes) -> Event | None:
    review, turn, name = mapping(payload.get("review")), mapping(payload.get("turn")), payload.get("event")
    if review is not None:
        return lifecycle.legacy(payload, review, body)
    if turn is not None or (isinstance(name, str) and name.startswith("turn.")):
        return lifecycle.turn(payload, turn or {}, body)
    if identifier(payload.get("execution_id")):
        return lifecycle.execution(payload, body)
    data = mapping(payload.get("data"))
    event = _enveloped(payload, data, body) if data is not None else None
    if event is None and identifier(payload.get("request_id")):
        event = _flat(payload, body)
    return event or lifecycle.named_only(payload, body)


def _enveloped(payload: Json, data: Json, body: bytes) -> Event | None:
    request, loop = mapping(data.get("request")), mapping(data.get("loop"))
    if request is not None:
        return _nested(payload, data, request, body)
    if loop is not None:
        return lifecycle.membership(payload, data, loop, body)
    if identifier(data.get("request_id")):
        return _request_in_data(payload, data, body)
    if any(key in data for key in _GLOBAL):
        return lifecycle.loop_or_user(payload, data, body)
    return None


def _nested(payload: Json, data: Json, request: Json, body: bytes) -> Event | None:
    outer_id = identifier(payload.get("request_id"))
    return outcomes.read(
        RequestReport(
            variant="nested" if outer_id is None else "handoff",
            name=payload.get("event"),
            request=request,
            request_id=identifier(request.get("id"), request.get("request_id"), outer_id),
            response_data=request.get("response_data"),
            loop=data.get("loop"),
            person=data.get("reviewer"),
            refund=data.get("refund_info"),
            timestamp=payload.get("timestamp"),
            body=body,
        )
    )


def _request_in_data(payload: Json, data: Json, body: bytes) -> Event | None:
    """Read the global, n8n and handler-sample forms, which hold the request's id in ``data``."""
    if "decision" in data and ("reasoning" in data or "confidence" in data or "loop_id" in data):
        variant = "n8n-doc"
    elif "response_data" in data and not any(key in data for key in _GLOBAL_REQUEST):
        variant = "data-flat"
    else:
        variant = "global"
    return outcomes.read(
        RequestReport(
            variant=variant,
            name=payload.get("event"),
            request=data,
            request_id=identifier(data.get("request_id")),
            response_data=data["decision"] if "decision" in data else data.get("response_data"),
            timestamp=payload.get("timestamp"),
            body=body,
        )
    )


def _flat(payload: Json, body: bytes) -> Event | None:
    is_resume = payload.get("event") is None and "response" in payload
    name = payload.get("event")
    if is_resume and text(payload.get("status")) is None:
        name = "request.resumed"
    return outcomes.read(
        RequestReport(
            variant="n8n-resume" if is_resume else _flat_variant(payload),
            name=name,
            request=payload,
            request_id=identifier(payload.get("request_id")),
            response_data=payload.get("response" if is_resume else "response_data"),
            timestamp=payload.get("timestamp"),
            body=body,
        )
    )


def _flat_variant(payload: Json) -> str:
    if "response_by_user" in payload:
        return "make-flat"
    if "completed_at" in payload or isinstance(payload.get("response_by"), str):
        return "intro-flat"
    return "callback-v2"
