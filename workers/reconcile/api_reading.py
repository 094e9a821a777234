"""Converts requests of HITL.sh's API to rows for a plan and deliveries for the inbox. Pure."""

from datetime import datetime

import msgspec

from hitlsh.api.models.requests import Request, RequestPage, RequestSummary
from hitlsh.callbacks import CALLBACK_PATH, CallbackInvalid, CallbackSigner, CallbackState
from hitlsh.events import Event, Unreadable
from hitlsh.request_details import read_details
from hitlsh.webhooks.parsing import event_from_request
from workers.inbox.values import Delivery, format_time
from workers.reconcile.planning.progress import Row, Rows

_encode = msgspec.json.Encoder().encode


def row(shown: RequestSummary, now: float) -> Row:
    """The row of a request; an unknown status counts as open."""
    created = shown.created_at.timestamp() if shown.created_at is not None else now
    return Row(id=shown.id, created_at=created, ended=shown.outcome is not None)


def created(shown: RequestSummary) -> str:
    """Seconds since 1970 as text; '' if HITL.sh does not show it."""
    return "" if shown.created_at is None else format_time(shown.created_at)


def timeout(shown: RequestSummary) -> str:
    """Seconds since 1970 as text; '' if HITL.sh does not show it."""
    return "" if shown.timeout_at is None else format_time(shown.timeout_at)


def rows(page: RequestPage, now: float, offset: int) -> Rows:
    """The rows of a page."""
    return Rows(rows=tuple(row(shown, now) for shown in page.requests), more=not is_last_page(page, offset))


def is_last_page(page: RequestPage, offset: int) -> bool:
    """Whether HITL.sh says that no page follows, which not every version of its API does."""
    if page.has_more is None and page.total is not None:
        return offset + len(page.requests) >= page.total
    return page.has_more is False


def delivery(shown: RequestSummary, callback: CallbackState | None, received_at: datetime) -> Delivery:
    """The outcome of the request as a webhook would deliver it."""
    body = _encode(shown.raw)
    content: Event | Unreadable | None = event_from_request(dict(shown.raw))
    return Delivery(
        content=content if content is not None else Unreadable.of(body, "unknown_shape"),
        body=body,
        trust="confirmed",
        received_at=received_at,
        callback_id=callback.id if callback is not None else None,
        state=callback.state if callback is not None else None,
        details=read_details(shown.raw),
        details_source="api" if isinstance(shown, Request) else "listing",
    )


def callback_of(address: str | None, signer: CallbackSigner | None) -> CallbackState | None:
    """The token of a request's callback URL if the URL is one of ours, else None."""
    if address is None or signer is None or CALLBACK_PATH not in address:
        return None
    token = address.rsplit(CALLBACK_PATH, 1)[1].strip("/")
    try:
        callback = signer.read(token)
    except CallbackInvalid:
        return None
    return CallbackState(id=callback.id, state=callback.state)
