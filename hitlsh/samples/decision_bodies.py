"""Bodies of deliveries, from the fields of a decision: for tests of handlers.

Follows https://docs.hitl.sh, "Webhooks", "Response types" and "List requests".
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hitlsh.events import RefundInfo, Reviewer
from hitlsh.request_details import RequestDetails

#: By which way a decision came: posted to a callback URL or by an account webhook, or read in a list of the API.
ReceivedBy = Literal["callback", "account webhook", "poll"]
Json = dict[str, Any]
#: When everything happens, unless another time is given.
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
_TIMEOUT = timedelta(days=1)

#: Where a callback carries the answer and its labels, by response type; other types stand bare.
_KEYS = {
    "single_select": ("selected_value", "selected_label"),
    "multi_select": ("selected_values", "selected_labels"),
    "rating": ("rating", "rating_label"),
    "number": ("number", "formatted_value"),
    "boolean": ("boolean", "boolean_label"),
}
_SELECTS = ("single_select", "multi_select")


def callback(fields: Json) -> Json:
    """The body that is posted to a callback URL (`callback-v2`)."""
    return {
        "event": fields["event"],
        "request_id": fields["request_id"],
        "loop_id": fields["loop_id"],
        "status": fields["status"],
        "response_data": _response_object(fields),
        "response_by": _person(fields["reviewer"]),
        "response_at": fields["occurred_at"] if fields["response"] is not None else None,
        "created_at": NOW,
    }


def simple_account_webhook(fields: Json) -> Json:
    """The body of an account webhook (`nested`) that says all of the answer that it can, labels apart."""
    request = {"id": fields["request_id"], "loop_id": fields["loop_id"], "status": fields["status"]}
    return {
        "event": fields["event"],
        "timestamp": fields["occurred_at"],
        "data": {
            "request": {**request, "response_data": fields["response"], "created_at": NOW},
            "loop": _loop(fields),
            "reviewer": _person(fields["reviewer"]),
        },
    }


def account_webhook(fields: Json) -> Json:
    """The body of an account webhook (`nested`): an option by its label, a reviewer without a name."""
    data: Json = {"request": _request(fields), "loop": _loop(fields)}
    match fields["outcome"]:
        case "timeout":
            data["request"]["timeout_at"] = fields["occurred_at"]
            data["request"]["default_response"] = fields.get("default_response")
        case "cancelled":
            data["request"]["cancelled_at"] = fields["occurred_at"]
            data["refund_info"] = _refund(fields.get("refund_info"))
        case _:
            data["request"] |= _question_fields(fields) | _answer(fields)
            if (reviewer := fields["reviewer"]) is not None:
                data["reviewer"] = {"user_id": reviewer.id, "email": reviewer.email}
    return {"event": fields["event"], "timestamp": fields["occurred_at"], "data": data}


def list_row(fields: Json) -> Json:
    """The request as a row of the API's list of requests."""
    return _request(fields) | _question_fields(fields) | _answer(fields)


def _request(fields: Json) -> Json:
    return {
        "id": fields["request_id"],
        "loop_id": fields["loop_id"],
        "status": fields["status"],
        "created_at": NOW,
        "updated_at": fields["occurred_at"],
    }


def _question_fields(fields: Json) -> Json:
    question = fields.get("question") or RequestDetails()
    return {
        "processing_type": "time-sensitive",
        "type": "markdown",
        "priority": question.priority or "medium",
        "request_text": question.text or "A question",
        "response_type": fields["response_type"],
        "timeout_at": fields["occurred_at"] if fields["outcome"] == "timeout" else NOW + _TIMEOUT,
    }


def _answer(fields: Json) -> Json:
    reviewer = fields["reviewer"]
    return {
        "response_data": _labels_of_answer(fields),
        "response_by": None if reviewer is None else reviewer.id,
        "response_at": fields["occurred_at"] if fields["response"] is not None else None,
    }


def _loop(fields: Json) -> Json:
    return {"id": fields["loop_id"], "name": fields.get("loop_name")}


def _refund(refund: RefundInfo | None) -> Json:
    info = refund or RefundInfo(refunded=True, reason="Request cancelled before processing began")
    return {"refunded": info.refunded, "reason": info.reason}


def _person(reviewer: Reviewer | None) -> dict[str, str | None] | None:
    if reviewer is None:
        return None
    return {"user_id": reviewer.id, "name": reviewer.name, "email": reviewer.email}


def _labels_of_answer(fields: Json) -> Any:
    """The answer as account webhooks and lists write it: a select by its labels, where they are known."""
    response, response_type, labels = fields["response"], fields["response_type"], fields["labels"]
    if response_type not in _SELECTS or not labels:
        return _response_object(fields) if response_type == "editable_text" else response
    return labels[0] if response_type == "single_select" else list(labels)


def _response_object(fields: Json) -> Any:
    response, response_type, labels = fields["response"], fields["response_type"], fields["labels"]
    if response is not None and response_type == "editable_text":
        was_edited = fields.get("was_edited")
        return {"revised_text": response, "was_edited": True if was_edited is None else was_edited}
    if response is None or response_type not in _KEYS:
        return response
    value, label = _KEYS[response_type]
    if not labels:
        return {value: response}
    return {value: response, label: list(labels) if response_type == "multi_select" else labels[0]}
