"""Records of webhooks and of their deliveries."""

from typing import ClassVar, Literal

import msgspec

from hitl_sandbox.model.records import StoredRecord

#: The owner of a webhook that receives the events of every account.
EVERYONE = "*"


class WebhookSubscription(StoredRecord, frozen=True, kw_only=True):
    """A registered account webhook."""

    kind: ClassVar[str] = "webhook"

    user_id: str
    url: str
    events: tuple[str, ...]
    secret: str
    type: Literal["account", "global"] = "account"
    enabled: bool = True
    loop_id: str | None = None
    created_at: float

    def owner(self) -> str:
        return self.user_id


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP POST of a delivery."""

    at: float
    #: None when there was no answer; ``error`` then gives the reason.
    status: int | None = None
    error: str | None = None
    #: Duration in real seconds.
    seconds: float = 0.0
    fault: str | None = None


class WebhookDelivery(StoredRecord, frozen=True, kw_only=True):
    """One body for one URL, with its attempts."""

    kind: ClassVar[str] = "delivery"

    channel: Literal["callback", "account", "turn", "direct"]
    url: str
    event: str
    variant: str
    body: str
    created_at: float
    #: The virtual seconds before each attempt.
    delays: tuple[float, ...]
    state: Literal["waiting", "sending", "delivered", "failed", "dropped"] = "waiting"
    next_at: float | None = None
    request_id: str | None = None
    webhook_id: str | None = None
    signature: Literal["none", "sha256", "bare"] = "none"
    secret: str = ""
    content_type: str = "application/json"
    attempts: tuple[DeliveryAttempt, ...] = ()

    def parent(self) -> str | None:
        return self.request_id

    def due(self) -> float | None:
        return self.next_at if self.state == "waiting" else None
