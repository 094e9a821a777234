"""Who is told of the requests that a client makes: a record of our own, such as an inbox that waits for them."""

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from hitlsh.api.models.requests import CreatedRequest
from hitlsh.request_details import RequestDetails

logger = logging.getLogger("hitl.api")


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What HITL.sh was sent for a request, as far as it does not come back with the outcome."""

    #: None where HITL.sh knows it without being told: for the request behind a turn of a session.
    loop_id: str | None = None
    callback_url: str | None = None
    #: What was asked; None where HITL.sh knows it without being told.
    details: RequestDetails | None = None
    timeout_seconds: int | None = None


class RecorderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A request that now exists."""

    created: CreatedRequest
    sent: SentRequest


class RequestRecorder(Protocol):
    """Told of each request once HITL.sh has made it; one may be shared by many clients.

    By then people have been asked, so the caller gets the request whatever becomes of the record: what a recorder
    raises is logged as ``recorder.failed``. A reconcile run that looks for unknown requests finds this one later.
    """

    def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        """Keep it; called in the thread that asks, before the caller gets the request."""


class AsyncRequestRecorder(Protocol):
    """The same for an `AsyncClient`, where keeping may take a round trip."""

    def record(self, created: CreatedRequest, sent: SentRequest) -> Awaitable[None]:
        """See `RequestRecorder.record`."""


@contextmanager
def log_errors(event: str, subject: str) -> Iterator[None]:
    """What fails in here is logged and not raised: it must not hide what HITL.sh has done by now."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever the user's own recorder or budget raises
        # Not its words: they may be those of a server, with an address or a password in them.
        logger.warning("%s subject=%s error=%s", event, subject, type(error).__name__)
