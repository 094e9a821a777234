"""Events of one request, from the parts that every payload form has."""

from datetime import datetime
from typing import Any, NamedTuple

from hitlsh.events import Event, Outcome, Reviewer, Source
from hitlsh.webhooks import event_keys
from hitlsh.webhooks.payload_fields import (
    event_name,
    identifier,
    mapping,
    metadata,
    name_and_status,
    outcome,
    parse_time,
    refund_info,
    reviewer,
    text,
)
from hitlsh.webhooks.responses import ParsedResponse, fingerprint, parse_response

Json = dict[str, Any]

_SOURCES: dict[Outcome, Source] = {
    "completed": "human",
    "timeout": "vendor_default",
    "cancelled": "cancelled",
}
_NO_LOOP: Json = {}
_NO_ANSWER = ParsedResponse(None, (), None)
#: Forms whose answer is a verdict such as ``approved``, not the option that was chosen.
_VERDICT_FORMS = frozenset({"global", "n8n-doc"})


class RequestReport(NamedTuple):
    """The parts of a payload about a request, wherever its form keeps them."""

    variant: str
    name: Any
    #: The object that holds status, response and times.
    request: Json
    request_id: str | None
    response_data: Any
    loop: Any = None
    person: Any = None
    refund: Any = None
    timestamp: Any = None
    body: bytes = b""


def read(report: RequestReport) -> Event | None:
    """Return the event; None without an event name or, for an outcome, without a request id."""
    name, state = name_and_status("request", event_name(report.name), text(report.request.get("status")))
    if name is None:
        return None
    ended_as = outcome(state)
    if ended_as is None:
        return _open_request(report, name, state)
    if report.request_id is None:
        return None
    return _ended_request(report, name, ended_as, report.request_id)


def _ended_request(report: RequestReport, name: str, ended: Outcome, request_id: str) -> Event:
    request = report.request
    loop = mapping(report.loop) or _NO_LOOP
    response = parse_response(report.response_data)
    default = request.get("default_response")
    if default is None and ended == "timeout":
        default = response.value
    # Nobody answered a request that timed out or was cancelled, even if its response fields are filled.
    answer = response if ended == "completed" else _NO_ANSWER
    return Event(
        variant=report.variant,
        name=name,
        key=event_keys.outcome_key(ended, request_id),
        request_id=request_id,
        loop_id=identifier(request.get("loop_id"), loop.get("id")),
        loop_name=text(loop.get("name")),
        status=ended,
        outcome=ended,
        source=_SOURCES[ended],
        response=answer.value,
        response_type=text(request.get("response_type")) or answer.type,
        labels=answer.labels,
        default_response=default,
        reviewer=_answered_by(report) if ended == "completed" else None,
        metadata=metadata(request),
        occurred_at=_ended_at(report, ended),
        created_at=parse_time(request.get("created_at")),
        timeout_at=parse_time(request.get("timeout_at")),
        fingerprint=_fingerprint(report, ended, answer),
        was_edited=answer.was_edited,
        refund_info=refund_info(report.refund) if ended == "cancelled" else None,
    )


def _open_request(report: RequestReport, name: str, state: str | None) -> Event:
    request = report.request
    loop = mapping(report.loop) or _NO_LOOP
    # Only the form of the n8n node holds an answer without a status.
    answer = parse_response(report.response_data) if report.variant == "n8n-resume" else _NO_ANSWER
    claimed_at, updated_at = request.get("claimed_at"), request.get("updated_at")
    return Event(
        variant=report.variant,
        name=name,
        key=event_keys.repeatable_key(
            name, report.request_id, report.timestamp or claimed_at or updated_at, report.body
        ),
        request_id=report.request_id,
        loop_id=identifier(request.get("loop_id"), loop.get("id")),
        loop_name=text(loop.get("name")),
        status=state,
        response=answer.value,
        response_type=text(request.get("response_type")) or answer.type,
        labels=answer.labels,
        default_response=request.get("default_response"),
        reviewer=reviewer(request.get("claimed_by"), report.person, request.get("reviewer_id")),
        metadata=metadata(request),
        occurred_at=parse_time(report.timestamp, claimed_at, updated_at),
        created_at=parse_time(request.get("created_at")),
        timeout_at=parse_time(request.get("timeout_at")),
        was_edited=answer.was_edited,
    )


def _answered_by(report: RequestReport) -> Reviewer | None:
    request = report.request
    return reviewer(
        request.get("response_by"),
        request.get("response_by_user"),
        report.person,
        request.get("reviewer_id"),
    )


def _ended_at(report: RequestReport, ended: Outcome) -> datetime | None:
    request = report.request
    if ended == "completed":
        time = request.get("response_at") or request.get("completed_at")
    else:
        time = request.get("timeout_at" if ended == "timeout" else "cancelled_at")
    return parse_time(time, report.timestamp, request.get("updated_at"))


def _fingerprint(report: RequestReport, ended: Outcome, answer: ParsedResponse) -> str | None:
    if ended == "completed" and report.variant in _VERDICT_FORMS:
        return None
    return fingerprint(ended, answer)
