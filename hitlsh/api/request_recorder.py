"""The recorder of a client: it receives each request that the client created, such as to wait for its decision."""

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from hitlsh.api.models.requests import CreatedRequest
from hitlsh.request_details import RequestDetails

logger = logging.getLogger("hitl.api")


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What HITL.sh was sent for a request, as far as the outcome does not return it."""

    #: None where HITL.sh chose it: for the request behind a turn of a session.
    loop_id: str | None = None
    callback_url: str | None = None
    #: What was asked; None where HITL.sh chose it.
    details: RequestDetails | None = None
    timeout_seconds: int | None = None


class RecorderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A created request, and what was sent for it."""

    created: CreatedRequest
    sent: SentRequest


class RequestRecorder(Protocol):
    """Records each request once HITL.sh has created it. Several clients may share one.

    The reviewers have been asked by then, so the caller gets the request even if the recorder fails: its exception is
    logged as ``recorder.failed``. A reconcile run finds the request later.
    """

    def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        """Record a request. Called in the caller's thread, before the call returns."""


class AsyncRequestRecorder(Protocol):
    """A recorder for `AsyncClient`, which may take a round trip."""

    def record(self, created: CreatedRequest, sent: SentRequest) -> Awaitable[None]:
        """See `RequestRecorder.record`."""


@contextmanager
def log_errors(event: str, subject: str) -> Iterator[None]:
    """Log an exception instead of raising it: it must not hide what HITL.sh has done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - anything that a user's recorder or budget raises
        # Not its message, which can hold an address or a password.
        logger.warning("%s subject=%s error=%s", event, subject, type(error).__name__)
