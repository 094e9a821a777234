"""Loops and their members (https://docs.hitl.sh, "Loops")."""

from datetime import datetime
from typing import Any

from hitlsh.api.resource import Resource


class Member(Resource, frozen=True, kw_only=True):
    """A member of a loop; pending until the person has joined in the app."""

    user_id: str
    email: str | None = None
    name: str | None = None
    status: str | None = None
    role: str | None = None
    joined_at: datetime | None = None
    last_active: datetime | None = None


class Loop(Resource, frozen=True, kw_only=True):
    """A group of reviewers, to which requests are sent."""

    id: str
    name: str | None = None
    description: str | None = None
    icon: str | None = None
    creator_id: str | None = None
    members: tuple[Member, ...] = ()
    #: Pending members included.
    member_count: int | None = None
    pending_count: int | None = None
    invite_code: str | None = None
    qr_code_url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class CreatedLoop(Resource, frozen=True, kw_only=True):
    """A new loop and the codes to join it. People join in the app; no call adds a member."""

    loop: Loop
    invite_code: str | None = None
    #: A ``data:image/png;base64,`` URI.
    qr_code_base64: str | None = None
    qr_code_url: str | None = None
    join_url: str | None = None


class DeletedLoop(Resource, frozen=True, kw_only=True):
    """A loop that was deleted with its requests."""

    loop_id: str
    deleted_at: datetime | None = None
    #: Numbers of deleted members, requests and responses, where HITL.sh sends them.
    deleted_data: dict[str, Any] | None = None


class Members(Resource, frozen=True, kw_only=True):
    """The members of one loop; which counts are present depends on the version of the API."""

    loop_id: str
    members: tuple[Member, ...] = ()
    member_count: int | None = None
    total_count: int | None = None
    active_count: int | None = None
    pending_count: int | None = None
    statistics: dict[str, Any] | None = None


class RemovedMember(Resource, frozen=True, kw_only=True):
    """A member that was removed from a loop."""

    loop_id: str
    user_id: str
    removed_at: datetime | None = None
