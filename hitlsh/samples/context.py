"""The values that the body of a sample is built from: request, loop, reviewer and times."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]


class SampleContext(NamedTuple):
    """The values that the body of a sample is built from."""

    request_id: str
    loop: Json
    reviewer: Json
    created_at: str
    now: str
    timeout_at: str
    response: Any

    def answer(self, default: Any) -> Any:
        """Return the given response, or the sample's own."""
        return default if self.response is msgspec.UNSET else self.response

    @property
    def member(self) -> Json:
        """The reviewer in the form of account webhooks."""
        return {"user_id": self.reviewer["user_id"], "email": self.reviewer["email"]}

    @property
    def user(self) -> Json:
        """The reviewer in the form of the Make pages."""
        return {
            "id": self.reviewer["user_id"],
            "name": self.reviewer["name"],
            "email": self.reviewer["email"],
        }

    def event(self, name: str, **keys: Any) -> Json:
        """Return the envelope that most forms have."""
        return {"event": name, "timestamp": self.now, **keys}


def create_context(request_id: str, now: datetime, response: Any) -> SampleContext:
    """Return the values of one sample; all but the arguments are invented."""
    return SampleContext(
        request_id=request_id,
        loop={"id": fresh_id(), "name": "Refund desk"},
        reviewer={"user_id": fresh_id(), "name": "Ines Sample", "email": "ines@example.org"},
        created_at=_iso_time(now - timedelta(minutes=6)),
        now=_iso_time(now),
        timeout_at=_iso_time(now + timedelta(minutes=54)),
        response=response,
    )


def fresh_id() -> str:
    """Return a new id in HITL.sh's form: 24 hex digits."""
    return secrets.token_hex(12)


def _iso_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
