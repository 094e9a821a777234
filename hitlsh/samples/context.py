"""What the bodies of one sample share: who asked whom, about what, and when."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]


class SampleContext(NamedTuple):
    """What the bodies of one sample share."""

    request_id: str
    loop: Json
    reviewer: Json
    asked_at: str
    now: str
    due_at: str
    response: Any

    def answer(self, usual: Any) -> Any:
        """Return the answer that was asked for, or the sample's usual one."""
        return usual if self.response is msgspec.UNSET else self.response

    @property
    def member(self) -> Json:
        """The reviewer as account webhooks name one."""
        return {"user_id": self.reviewer["user_id"], "email": self.reviewer["email"]}

    @property
    def user(self) -> Json:
        """The reviewer as the Make pages name one."""
        return {
            "id": self.reviewer["user_id"],
            "name": self.reviewer["name"],
            "email": self.reviewer["email"],
        }

    def event(self, name: str, **keys: Any) -> Json:
        """Return the envelope most forms share."""
        return {"event": name, "timestamp": self.now, **keys}


def create_context(request_id: str, now: datetime, response: Any) -> SampleContext:
    """Invent everything but the request, the time and, where one is asked for, the response."""
    return SampleContext(
        request_id=request_id,
        loop={"id": fresh_id(), "name": "Refund desk"},
        reviewer={"user_id": fresh_id(), "name": "Ines Sample", "email": "ines@example.org"},
        asked_at=_written(now - timedelta(minutes=6)),
        now=_written(now),
        due_at=_written(now + timedelta(minutes=54)),
        response=response,
    )


def fresh_id() -> str:
    """Return an id as HITL.sh makes them: 24 hex digits."""
    return secrets.token_hex(12)


def _written(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
