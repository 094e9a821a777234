"""What the sandbox remembers. Times are Unix seconds of its clock; fields have the API's own names."""

from typing import Any, ClassVar, Literal

import msgspec

Status = Literal["pending", "claimed", "completed", "timeout", "cancelled"]
OPEN: tuple[Status, ...] = ("pending", "claimed")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Something with an id that is kept; ``owner``, ``parent`` and ``due`` are what it is looked up by."""

    kind: ClassVar[str] = ""

    id: str

    def owner(self) -> str | None:
        return None

    def parent(self) -> str | None:
        return None

    def due(self) -> float | None:
        """When the timeline has to look at this record again."""
        return None


class Key(Record, frozen=True, kw_only=True):
    """An API key; its id is a digest, so that the log can name it without showing it."""

    kind: ClassVar[str] = "key"

    user_id: str
    email: str
    active: bool = True


class Member(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    email: str
    name: str
    status: Literal["active", "pending"]
    role: Literal["admin", "member"] = "member"
    joined_at: float | None = None
    last_active: float | None = None
    #: False: notifications fail with "no device token".
    device: bool = True


class Loop(Record, frozen=True, kw_only=True):
    kind: ClassVar[str] = "loop"

    creator_id: str
    name: str
    icon: str
    invite_code: str
    members: tuple[Member, ...]
    created_at: float
    updated_at: float
    description: str | None = None

    def owner(self) -> str:
        return self.creator_id

    def active(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.status == "active")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller asked for, after validation."""

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
    #: image_urls, file_url, file_type, ... as sent.
    attachments: dict[str, Any] = {}
    #: metadata and tags: accepted, kept, echoed.
    extras: dict[str, Any] = {}


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    email: str
    role: str
    notification_sent: bool
    notification_error: str | None


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What a request was made on behalf of."""

    turn_id: str | None = None
    execution_id: str | None = None
    workflow_id: str | None = None


class Request(Record, frozen=True, kw_only=True):
    kind: ClassVar[str] = "request"

    loop_id: str
    creator_id: str
    api_key_id: str
    ask: Ask
    status: Status
    timeout_at: float
    broadcast: tuple[Notified, ...]
    created_at: float
    updated_at: float
    previous_status: Status | None = None
    response_by: str | None = None
    response_at: float | None = None
    #: The answer with options by value; meaningful only when completed, and then it may well be falsy.
    answer: Any = None
    claimed_by: str | None = None
    claimed_at: float | None = None
    claim_ends: float | None = None
    cancelled_at: float | None = None
    feedback: dict[str, Any] | None = None
    links: Links = Links()

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


class Upload(Record, frozen=True, kw_only=True):
    kind: ClassVar[str] = "upload"

    file_name: str
    file_type: str
    #: Encoded by msgspec as base64.
    content: bytes
