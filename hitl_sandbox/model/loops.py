"""Loops and the people in them."""

from typing import Literal

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import digest_id
from hitl_sandbox.model.records import OPEN, Key, Loop, Member, Request
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.announcer import Announcer


class Loops:
    def __init__(self, sandbox_state: SandboxState, announcer: Announcer) -> None:
        self._world = sandbox_state
        self._announcer = announcer

    def create(self, key: Key, *, name: str, icon: str, description: str | None) -> Loop:
        """A new loop; its creator is the first, active member."""
        now = self._world.now()
        creator = Member(
            user_id=key.user_id,
            email=key.email,
            name=name_of(key.email),
            status="active",
            role="admin",
            joined_at=now,
            last_active=now,
        )
        loop = Loop(
            id=self._world.new_id(),
            creator_id=key.user_id,
            name=name,
            icon=icon,
            description=description,
            invite_code=self._world.ids.invite_code(),
            members=(creator,),
            created_at=now,
            updated_at=now,
        )
        self._put(loop)
        self._announcer.loop_created(loop)
        return loop

    def change(self, loop: Loop, **changes: str | None) -> Loop:
        return self._put(msgspec.structs.replace(loop, **changes, updated_at=self._world.now()))

    def delete(self, loop: Loop) -> list[Request]:
        """Remove a loop with its requests, and say which; nobody is called back for those."""
        requests = self._world.store.find(Request, parent=loop.id)
        if self._world.settings.keep_busy_loops and any(request.status in OPEN for request in requests):
            raise Refusal(400, "Cannot delete loop with active requests")
        for record in (*requests, loop):
            self._world.store.delete(record)
        self._announcer.loop_archived(loop)
        self._world.changes.announce()
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
    ) -> Member:
        """Add somebody, or change who they are: the API has no call for it, people join in the app."""
        loop = self._world.store.get(Loop, loop_id)
        if loop is None:
            raise Refusal(404, "Loop not found")
        now = self._world.now()
        member = Member(
            user_id=digest_id(email),
            email=email,
            name=name or name_of(email),
            status=status,
            role=role,
            joined_at=now if status == "active" else None,
            last_active=now if status == "active" else None,
            device=device,
        )
        before = {present.user_id: present for present in loop.members}
        members = tuple({**before, member.user_id: member}.values())
        loop = self._put(msgspec.structs.replace(loop, members=members, updated_at=now))
        was = before.get(member.user_id)
        if status == "active" and (was is None or was.status == "pending"):
            self._announcer.member_joined(loop, member)
        elif was is None:
            self._announcer.member_invited(loop, member)
        return member

    def remove_member(self, loop: Loop, user_id: str) -> None:
        if user_id == loop.creator_id:
            raise Refusal(403, "Loop creator cannot remove themselves")
        kept = tuple(member for member in loop.members if member.user_id != user_id)
        if len(kept) == len(loop.members):
            raise Refusal(404, "User is not a member of this loop")
        self._put(msgspec.structs.replace(loop, members=kept, updated_at=self._world.now()))

    def _put(self, loop: Loop) -> Loop:
        self._world.store.put(loop)
        self._world.changes.announce()
        return loop


def name_of(email: str) -> str:
    """``priya.example@...`` -> ``Priya Example``."""
    return email.partition("@")[0].replace(".", " ").replace("-", " ").title()
