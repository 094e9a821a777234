"""Loops and the people in them."""

from datetime import datetime
from typing import Any

from hitlsh.api.resource import Resource


class Member(Resource, frozen=True, kw_only=True):
    """A person in a loop; pending until they have joined in the app."""

    user_id: str
    email: str | None = None
    name: str | None = None
    status: str | None = None
    role: str | None = None
    joined_at: datetime | None = None
    last_active: datetime | None = None


class Loop(Resource, frozen=True, kw_only=True):
    """A group of reviewers to whom requests go."""

    id: str
    name: str | None = None
    description: str | None = None
    icon: str | None = None
    creator_id: str | None = None
    members: tuple[Member, ...] = ()
    #: Counts pending people too.
    member_count: int | None = None
    pending_count: int | None = None
    invite_code: str | None = None
    qr_code_url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class CreatedLoop(Resource, frozen=True, kw_only=True):
    """A new loop and the ways to join it. People join in the app: there is no call that adds a member."""

    loop: Loop
    invite_code: str | None = None
    #: A ``data:image/png;base64,`` URI.
    qr_code_base64: str | None = None
    qr_code_url: str | None = None
    join_url: str | None = None


class DeletedLoop(Resource, frozen=True, kw_only=True):
    """A loop that is gone, its requests with it."""

    loop_id: str
    deleted_at: datetime | None = None
    #: How many members, requests and responses went with it, where HITL.sh says so.
    deleted_data: dict[str, Any] | None = None


class Members(Resource, frozen=True, kw_only=True):
    """The people of one loop; which counts are present depends on the API's age."""

    loop_id: str
    members: tuple[Member, ...] = ()
    member_count: int | None = None
    total_count: int | None = None
    active_count: int | None = None
    pending_count: int | None = None
    statistics: dict[str, Any] | None = None


class RemovedMember(Resource, frozen=True, kw_only=True):
    """Somebody who is no longer in a loop."""

    loop_id: str
    user_id: str
    removed_at: datetime | None = None
