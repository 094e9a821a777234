"""What can happen to a request, whoever causes it: the API, a reviewer, or time."""

from collections.abc import Callable
from typing import Any

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.answers import read_answer
from hitl_sandbox.model.records import OPEN, Ask, Key, Links, Loop, Member, Notified, Request
from hitl_sandbox.model.rules import THIRTY_DAYS
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.announcer import Announcer


class RequestLifecycle:
    """Every change of a request's state, each announced to whoever is owed it."""

    def __init__(self, sandbox_state: SandboxState, announcer: Announcer) -> None:
        self._world = sandbox_state
        self._announcer = announcer
        #: Called with each request that has just ended, and the reviewer who ended it.
        self.on_end: list[Callable[[Request, Member | None], None]] = []

    def create(self, key: Key, loop: Loop, ask: Ask, links: Links | None = None) -> Request:
        """A new request, shown to the loop's active members."""
        if not loop.active():
            raise Refusal(400, "No active members found in the loop")
        now = self._world.now()
        request = Request(
            id=self._world.new_id(),
            loop_id=loop.id,
            creator_id=key.user_id,
            api_key_id=key.id,
            ask=ask,
            status="pending",
            timeout_at=now + (ask.timeout_seconds or THIRTY_DAYS),
            broadcast=tuple(_notified(member) for member in loop.active()),
            created_at=now,
            updated_at=now,
            links=links or Links(),
        )
        self._put(request)
        self._announcer.request_event("request.created", request, loop)
        return request

    def amend(self, request: Request, ask: Ask) -> Request:
        """Replace the question of a pending request; a new timeout counts from its creation."""
        if request.status != "pending":
            raise Refusal(400, "Request cannot be updated in current state")
        timeout_at = request.timeout_at
        if ask.timeout_seconds != request.ask.timeout_seconds:
            timeout_at = request.created_at + (ask.timeout_seconds or THIRTY_DAYS)
        return self._put(msgspec.structs.replace(request, ask=ask, timeout_at=timeout_at, updated_at=self._world.now()))

    def claim(self, request_id: str, reviewer: str | None) -> Request:
        if not self._world.settings.claims:
            raise Refusal(409, "Claims are off", "start the sandbox with --claims, or set claims")
        request, loop = self.open_request(request_id)
        if request.status == "claimed":
            raise Refusal(409, "Request is already claimed")
        member = self.reviewer(loop, reviewer)
        now = self._world.now()
        claimed = msgspec.structs.replace(
            request,
            status="claimed",
            previous_status="pending",
            claimed_by=member.user_id,
            claimed_at=now,
            claim_ends=now + self._world.settings.claim_seconds,
            updated_at=now,
        )
        self._put(claimed)
        self._announcer.request_event("request.claimed", claimed, loop, member)
        return claimed

    def release(self, request: Request) -> Request:
        """Give a claimed request back to the queue: by hand, or because its claim ran out."""
        if request.status != "claimed":
            raise Refusal(409, "Request is not claimed")
        return self._put(
            msgspec.structs.replace(
                request,
                status="pending",
                previous_status="claimed",
                claimed_by=None,
                claimed_at=None,
                claim_ends=None,
                updated_at=self._world.now(),
            )
        )

    def answer(self, request_id: str, raw: Any, reviewer: str | None = None) -> Request:
        """Complete a request; the first answer wins."""
        request, loop = self.open_request(request_id)
        answer = read_answer(request.ask, raw)
        member = self.reviewer(loop, reviewer or request.claimed_by)
        now = self._world.now()
        completed = msgspec.structs.replace(
            request,
            status="completed",
            previous_status=request.status,
            answer=answer,
            response_by=member.user_id,
            response_at=now,
            claim_ends=None,
            updated_at=now,
        )
        return self._end(completed, loop, member)

    def cancel(self, request: Request) -> Request:
        cancellable = OPEN if self._world.settings.cancel_claimed else ("pending",)
        if request.status not in cancellable:
            raise Refusal(400, "Request cannot be cancelled in current state")
        now = self._world.now()
        cancelled = msgspec.structs.replace(
            request,
            status="cancelled",
            previous_status=request.status,
            claim_ends=None,
            cancelled_at=now,
            updated_at=now,
        )
        return self._end(cancelled, self.loop_of(request), None)

    def come_due(self, request: Request) -> None:
        """Time out, or lose its claim; whichever moment has come."""
        now = self._world.now()
        if request.timeout_at > now:
            self.release(request)
            return
        timed_out = msgspec.structs.replace(
            request, status="timeout", previous_status=request.status, claim_ends=None, updated_at=now
        )
        self._end(timed_out, self.loop_of(request), None)

    def _end(self, request: Request, loop: Loop, member: Member | None) -> Request:
        self._put(request)
        self._announcer.request_event(f"request.{request.status}", request, loop, member)
        for notify in self.on_end:
            notify(request, member)
        return request

    def _put(self, request: Request) -> Request:
        self._world.store.put(request)
        self._world.changes.announce()
        return request

    def find(self, request_id: str) -> Request:
        request = self._world.store.get(Request, request_id)
        if request is None:
            raise Refusal(404, "Request not found")
        return request

    def open_request(self, request_id: str) -> tuple[Request, Loop]:
        request = self.find(request_id)
        if request.status not in OPEN:
            raise Refusal(409, f"Request is already {request.status}")
        return request, self.loop_of(request)

    def loop_of(self, request: Request) -> Loop:
        loop = self._world.store.get(Loop, request.loop_id)
        if loop is None:
            raise Refusal(404, "Loop not found")
        return loop

    def reviewer(self, loop: Loop, wanted: str | None) -> Member:
        """An active member by e-mail or user id; without one, the member who joined last."""
        active = loop.active()
        if not active:
            raise Refusal(400, "No active members found in the loop")
        if wanted is None:
            return active[-1]
        for member in active:
            if wanted in (member.email, member.user_id):
                return member
        raise Refusal(404, "User is not a member of this loop", f"active are {', '.join(m.email for m in active)}")

    def answered_by(self, request: Request) -> Member | None:
        loop = self._world.store.get(Loop, request.loop_id)
        members = () if loop is None else loop.members
        return next((member for member in members if member.user_id == request.response_by), None)


def _notified(member: Member) -> Notified:
    return Notified(
        user_id=member.user_id,
        email=member.email,
        role=member.role,
        notification_sent=member.device,
        notification_error=None if member.device else "no device token",
    )
