"""Requests to the reviewers of a loop (https://docs.hitl.sh, "Requests")."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Literal
from urllib.parse import urljoin

import msgspec
from msgspec import UNSET, UnsetType

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.http.exchange import Script, Sleep
from hitlsh.api.models.requests import (
    CancelledRequest,
    CreatedRequest,
    Request,
    RequestFeedback,
)
from hitlsh.api.operations import Envelope, Operation, changed_fields, encode_body, path_segment, without_none
from hitlsh.api.questions.builders import Question
from hitlsh.api.questions.content import MARKDOWN, Content
from hitlsh.api.questions.limits import check_integer, check_length, check_one_of
from hitlsh.api.questions.request_body import Priority, ProcessingType, check_changes, create_body
from hitlsh.api.request_recorder import RecorderEntry, SentRequest
from hitlsh.request_details import read_details

#: The documented polling intervals in seconds; the last one repeats. About 17 calls in the first hour.
POLLING = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


def create(
    loop_id: str,
    text: str,
    question: Question,
    *,
    default_response: Any,
    priority: Priority = "medium",
    timeout_seconds: int | None = None,
    processing_type: ProcessingType | None = None,
    content: Content = MARKDOWN,
    context: Mapping[str, Any] | None = None,
    callback_url: str | None = None,
    platform: str = "api",
    platform_version: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
) -> Operation[CreatedRequest]:
    """Ask the reviewers of a loop.

    ``text``: 1 to 2000 characters, may contain Markdown. ``question``: of a builder such as `single_select`.
    ``default_response``: an option of the question, which holds when nobody answers. ``timeout_seconds``: 60 to 86400;
    without it the request is deferred and times out after 30 days. ``context``: a JSON object, shown to the reviewer.

    Raises ArgumentInvalid before a call is made. HITL.sh has no idempotency key: after Unreachable with ``sent``, check
    whether the request exists. The client's recorder receives the request; if it fails, the request is still returned.
    """
    body = create_body(
        text,
        question,
        default_response,
        content,
        priority=priority,
        timeout_seconds=timeout_seconds,
        processing_type=processing_type,
        context=context,
        callback_url=callback_url,
        platform=platform,
        platform_version=platform_version,
        metadata=metadata,
        tags=None if tags is None else list(tags),
    )
    sent = SentRequest(
        loop_id=loop_id,
        callback_url=callback_url,
        details=read_details(msgspec.json.decode(body) | {"loop_id": loop_id}),
        timeout_seconds=timeout_seconds,
    )
    return Operation(
        method="POST",
        path=_of_loop(loop_id),
        body=body,
        read=_created,
        created_request=lambda created: RecorderEntry(created=created, sent=sent),
    )


def get(request_id: str) -> Operation[Request]:
    """Return one request. The limit is 100 calls per hour, so use `wait` to poll."""
    return Operation(method="GET", path=_path(request_id), read=_one)


def cancel(request_id: str, *, reason: str | None = None) -> Operation[CancelledRequest]:
    """Cancel a pending request. This cannot be undone. ``reason`` is not documented."""
    return Operation(
        method="DELETE",
        path=_path(request_id),
        body=None if reason is None else encode_body({"reason": reason}),
        read=lambda reply: CancelledRequest.from_payload({"request_id": request_id, **reply.data}),
    )


def update(
    request_id: str,
    *,
    request_text: str | UnsetType = UNSET,
    priority: Priority | UnsetType = UNSET,
    timeout_seconds: int | UnsetType = UNSET,
    default_response: Any = UNSET,
    context: Mapping[str, Any] | UnsetType | None = UNSET,
    callback_url: str | UnsetType | None = UNSET,
    **more: Any,
) -> Operation[Request]:
    """Change a pending request. The call is not documented; HITL.sh's own MCP server makes it."""
    fields = changed_fields(
        request_text=request_text,
        priority=priority,
        timeout_seconds=timeout_seconds,
        default_response=default_response,
        context=context,
        callback_url=callback_url,
        **more,
    )
    check_changes(fields)
    return Operation(method="PATCH", path=_path(request_id), body=encode_body(fields), read=_updated(request_id))


def feedback(
    request_id: str,
    *,
    rating: int | None = None,
    accuracy: int | None = None,
    timeliness: int | None = None,
    helpfulness: int | None = None,
    comment: str | None = None,
    would_recommend: bool | None = None,
    tags: Sequence[str] | None = None,
    follow_up_needed: bool | None = None,
    category: Literal["positive", "constructive", "issue"] | None = None,
) -> Operation[RequestFeedback]:
    """Send the reviewer feedback on a completed request, once. Scores are 1 to 5, the comment up to 1000 characters."""
    scores = without_none(rating=rating, accuracy=accuracy, timeliness=timeliness, helpfulness=helpfulness)
    for name, score in scores.items():
        check_integer(name, score, 1, 5)
    if comment is not None:
        check_length("comment", comment, 0, 1000)
    if category is not None:
        check_one_of("category", category, ("positive", "constructive", "issue"))
    remarks = without_none(comment=comment, category=category, tags=None if tags is None else list(tags))
    fields = scores | remarks | without_none(would_recommend=would_recommend, follow_up_needed=follow_up_needed)
    if not fields:
        raise ArgumentInvalid("feedback", "is empty: give at least one score, comment or tag")
    return Operation(
        method="POST",
        path=f"{_path(request_id)}/feedback",
        body=encode_body({"feedback": fields}),
        read=lambda reply: RequestFeedback.from_payload({"request_id": request_id, **reply.data}),
    )


def wait(request_id: str, *, every: float | None = None, for_up_to: float | None = None) -> Script[Request]:
    """Poll until the request has ended, or for ``for_up_to`` seconds; its ``outcome`` is None if it is still open.

    ``every``: seconds between polls. Without it: 5, 10, 30, 60, 120 and then 300, which is 17 calls in the first hour.
    """
    pauses: Iterable[float] = chain(POLLING, repeat(POLLING[-1])) if every is None else repeat(every)
    left = float("inf") if for_up_to is None else for_up_to
    request: Request = yield get(request_id)
    for pause in pauses:
        if request.outcome is not None or left <= 0:
            break
        yield Sleep(min(pause, left))
        left -= pause
        request = yield get(request_id)
    return request


def _of_loop(loop_id: str) -> str:
    return f"/api/loops/{path_segment('loop_id', loop_id)}/requests"


def _path(request_id: str) -> str:
    return f"/api/requests/{path_segment('request_id', request_id)}"


def _one(reply: Envelope) -> Request:
    return Request.from_payload(reply.inner("request"))


def _updated(request_id: str) -> Callable[[Envelope], Request]:
    """Read the reply of an update. No page shows it, so it may lack the id."""
    return lambda reply: Request.from_payload({"id": request_id, **reply.inner("request")})


def _created(reply: Envelope) -> CreatedRequest:
    """Read a created request; the quickstart has the id in ``data.request.id``, and ``polling_url`` has no host."""
    fields = {name: value for name, value in reply.data.items() if name != "request"} | reply.inner("request")
    if "request_id" not in fields and "id" in fields:
        fields["request_id"] = fields.pop("id")
    if isinstance(fields.get("polling_url"), str):
        fields["polling_url"] = urljoin(f"{reply.origin}/", fields["polling_url"])
    return CreatedRequest.from_payload(fields)
