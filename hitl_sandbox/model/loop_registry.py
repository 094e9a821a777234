"""Loops and their members."""

from typing import Literal

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.records import OPEN, ApiKey, StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.event_publisher import EventPublisher


class LoopRegistry:
    """Creates, changes and deletes loops, and publishes the events of that."""

    def __init__(self, state: SandboxState, publisher: EventPublisher) -> None:
        self._state = state
        self._publisher = publisher

    def create(self, key: ApiKey, *, name: str, icon: str, description: str | None) -> StoredLoop:
        """Create a loop with its creator as the first active member."""
        now = self._state.now()
        creator = StoredMember(
            user_id=key.user_id,
            email=key.email,
            name=name_of(key.email),
            status="active",
            role="admin",
            joined_at=now,
            last_active=now,
        )
        loop = StoredLoop(
            id=self._state.new_id(),
            creator_id=key.user_id,
            name=name,
            icon=icon,
            description=description,
            invite_code=self._state.ids.invite_code(),
            members=(creator,),
            created_at=now,
            updated_at=now,
        )
        self._put(loop)
        self._publisher.loop_created(loop)
        return loop

    def change(self, loop: StoredLoop, **changes: str | None) -> StoredLoop:
        return self._put(msgspec.structs.replace(loop, **changes, updated_at=self._state.now()))

    def delete(self, loop: StoredLoop) -> list[StoredRequest]:
        """Delete a loop and its requests, and return these; no callback is sent for them."""
        requests = self._state.store.find(StoredRequest, parent=loop.id)
        if self._state.settings.keep_busy_loops and any(request.status in OPEN for request in requests):
            raise Refusal(400, "Cannot delete loop with active requests")
        for record in (*requests, loop):
            self._state.store.delete(record)
        self._publisher.loop_archived(loop)
        self._state.changes.notify()
        return requests

    def set_member(
        self,
        loop_id: str,
        email: str,
        *,
        status: Literal["active", "pending"] = "active",
        role: Literal["admin", "member"] = "member",
        device: bool = True,
        name: str | None = None,
    ) -> StoredMember:
        """Add or change a member. The API has no call for this: people join in the app."""
        loop = self._state.store.get(StoredLoop, loop_id)
        if loop is None:
            raise Refusal(404, "Loop not found")
        now = self._state.now()
        member = StoredMember(
            user_id=digest_id(email),
            email=email,
            name=name or name_of(email),
            status=status,
            role=role,
            joined_at=now if status == "active" else None,
            last_active=now if status == "active" else None,
            has_device=device,
        )
        members_by_id = {existing.user_id: existing for existing in loop.members}
        members = tuple({**members_by_id, member.user_id: member}.values())
        loop = self._put(msgspec.structs.replace(loop, members=members, updated_at=now))
        previous = members_by_id.get(member.user_id)
        if status == "active" and (previous is None or previous.status == "pending"):
            self._publisher.member_joined(loop, member)
        elif previous is None:
            self._publisher.member_invited(loop, member)
        return member

    def remove_member(self, loop: StoredLoop, user_id: str) -> None:
        if user_id == loop.creator_id:
            raise Refusal(403, "Loop creator cannot remove themselves")
        remaining = tuple(member for member in loop.members if member.user_id != user_id)
        if len(remaining) == len(loop.members):
            raise Refusal(404, "User is not a member of this loop")
        self._put(msgspec.structs.replace(loop, members=remaining, updated_at=self._state.now()))

    def _put(self, loop: StoredLoop) -> StoredLoop:
        self._state.store.put(loop)
        self._state.changes.notify()
        return loop


def name_of(email: str) -> str:
    """Make a name from an e-mail address: ``priya.example@...`` gives ``Priya Example``."""
    return email.partition("@")[0].replace(".", " ").replace("-", " ").title()
