"""The sandbox's records. Times are Unix seconds of its clock; fields have the names that the API gives them."""

from typing import Any, ClassVar, Literal

import msgspec

Status = Literal["pending", "claimed", "completed", "timeout", "cancelled"]
OPEN: tuple[Status, ...] = ("pending", "claimed")


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the store; ``owner``, ``parent`` and ``due`` are its indexed columns."""

    kind: ClassVar[str] = ""

    id: str

    def owner(self) -> str | None:
        return None

    def parent(self) -> str | None:
        return None

    def due(self) -> float | None:
        """When the scheduler acts on this record next; None for never."""
        return None


class ApiKey(StoredRecord, frozen=True, kw_only=True):
    """An API key; its id is a digest, so that the log can name it without showing it."""

    kind: ClassVar[str] = "key"

    user_id: str
    email: str
    active: bool = True


class StoredMember(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a loop."""

    user_id: str
    email: str
    name: str
    status: Literal["active", "pending"]
    role: Literal["admin", "member"] = "member"
    joined_at: float | None = None
    last_active: float | None = None
    #: Without a device, notifications fail with "no device token".
    has_device: bool = True


class StoredLoop(StoredRecord, frozen=True, kw_only=True):
    """A loop and its members."""

    kind: ClassVar[str] = "loop"

    creator_id: str
    name: str
    icon: str
    invite_code: str
    members: tuple[StoredMember, ...]
    created_at: float
    updated_at: float
    description: str | None = None

    def owner(self) -> str:
        return self.creator_id

    def active(self) -> tuple[StoredMember, ...]:
        return tuple(member for member in self.members if member.status == "active")


class RequestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The validated body of a create call."""

    processing_type: str
    type: str
    priority: str
    request_text: str
    response_type: str
    response_config: dict[str, Any]
    default_response: Any
    platform: str
    platform_version: str | None = None
    timeout_seconds: int | None = None
    image_url: str | None = None
    context: dict[str, Any] | None = None
    callback_url: str | None = None
    #: image_urls, file_url, file_type and the like, unchanged.
    attachments: dict[str, Any] = {}
    #: metadata and tags: stored and returned unchanged.
    extras: dict[str, Any] = {}


class BroadcastRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """A member that was notified of a request."""

    user_id: str
    email: str
    role: str
    notification_sent: bool
    notification_error: str | None


class RequestLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The turn or the execution that a request belongs to."""

    turn_id: str | None = None
    execution_id: str | None = None
    workflow_id: str | None = None


class StoredRequest(StoredRecord, frozen=True, kw_only=True):
    """A request from its creation to its outcome."""

    kind: ClassVar[str] = "request"

    loop_id: str
    creator_id: str
    api_key_id: str
    spec: RequestSpec
    status: Status
    timeout_at: float
    broadcast: tuple[BroadcastRecipient, ...]
    created_at: float
    updated_at: float
    previous_status: Status | None = None
    response_by: str | None = None
    response_at: float | None = None
    #: The answer, options by their values. Read it only of a completed request; it may be falsy.
    answer: Any = None
    claimed_by: str | None = None
    claimed_at: float | None = None
    claim_ends: float | None = None
    cancelled_at: float | None = None
    feedback: dict[str, Any] | None = None
    links: RequestLinks = RequestLinks()

    def owner(self) -> str:
        return self.api_key_id

    def parent(self) -> str:
        return self.loop_id

    def due(self) -> float | None:
        if self.status not in OPEN:
            return None
        return self.timeout_at if self.claim_ends is None else min(self.timeout_at, self.claim_ends)

    def response_time_seconds(self) -> float | None:
        return None if self.response_at is None else round(self.response_at - self.created_at, 1)


class StoredUpload(StoredRecord, frozen=True, kw_only=True):
    """An uploaded picture or document."""

    kind: ClassVar[str] = "upload"

    file_name: str
    file_type: str
    #: Encoded by msgspec as base64.
    content: bytes
