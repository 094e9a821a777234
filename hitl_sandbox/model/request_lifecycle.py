"""The state changes of a request, caused by the API, by a reviewer or by time."""

from collections.abc import Callable
from typing import Any

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.answers import read_answer
from hitl_sandbox.model.records import (
    OPEN,
    ApiKey,
    BroadcastRecipient,
    RequestLinks,
    RequestSpec,
    StoredLoop,
    StoredMember,
    StoredRequest,
)
from hitl_sandbox.model.request_spec import THIRTY_DAYS
from hitl_sandbox.model.state import SandboxState
from hitl_sandbox.webhooks.event_publisher import EventPublisher


class RequestLifecycle:
    """Changes the state of requests and publishes the event of each change."""

    def __init__(self, state: SandboxState, publisher: EventPublisher) -> None:
        self._state = state
        self._publisher = publisher
        #: Called with each request that ends, and with the reviewer who answered it.
        self.on_end: list[Callable[[StoredRequest, StoredMember | None], None]] = []

    def create(
        self, key: ApiKey, loop: StoredLoop, spec: RequestSpec, links: RequestLinks | None = None
    ) -> StoredRequest:
        """Create a request and broadcast it to the active members of the loop."""
        if not loop.active():
            raise Refusal(400, "No active members found in the loop")
        now = self._state.now()
        request = StoredRequest(
            id=self._state.new_id(),
            loop_id=loop.id,
            creator_id=key.user_id,
            api_key_id=key.id,
            spec=spec,
            status="pending",
            timeout_at=now + (spec.timeout_seconds or THIRTY_DAYS),
            broadcast=tuple(_recipient(member) for member in loop.active()),
            created_at=now,
            updated_at=now,
            links=links or RequestLinks(),
        )
        self._put(request)
        self._publisher.request_event("request.created", request, loop)
        return request

    def update(self, request: StoredRequest, spec: RequestSpec) -> StoredRequest:
        """Replace the spec of a pending request; a new timeout counts from the creation of the request."""
        if request.status != "pending":
            raise Refusal(400, "Request cannot be updated in current state")
        timeout_at = request.timeout_at
        if spec.timeout_seconds != request.spec.timeout_seconds:
            timeout_at = request.created_at + (spec.timeout_seconds or THIRTY_DAYS)
        return self._put(
            msgspec.structs.replace(request, spec=spec, timeout_at=timeout_at, updated_at=self._state.now())
        )

    def claim(self, request_id: str, reviewer: str | None) -> StoredRequest:
        if not self._state.settings.claims:
            raise Refusal(409, "Claims are off", "start the sandbox with --claims, or set claims")
        request, loop = self.open_request(request_id)
        if request.status == "claimed":
            raise Refusal(409, "Request is already claimed")
        member = self.reviewer(loop, reviewer)
        now = self._state.now()
        claimed = msgspec.structs.replace(
            request,
            status="claimed",
            previous_status="pending",
            claimed_by=member.user_id,
            claimed_at=now,
            claim_ends=now + self._state.settings.claim_seconds,
            updated_at=now,
        )
        self._put(claimed)
        self._publisher.request_event("request.claimed", claimed, loop, member)
        return claimed

    def release(self, request: StoredRequest) -> StoredRequest:
        """Return a claimed request to pending, on demand or because the claim expired."""
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
                updated_at=self._state.now(),
            )
        )

    def answer(self, request_id: str, raw: Any, reviewer: str | None = None) -> StoredRequest:
        """Complete an open request; a second answer is refused."""
        request, loop = self.open_request(request_id)
        answer = read_answer(request.spec, raw)
        member = self.reviewer(loop, reviewer or request.claimed_by)
        now = self._state.now()
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

    def cancel(self, request: StoredRequest) -> StoredRequest:
        cancellable = OPEN if self._state.settings.cancel_claimed else ("pending",)
        if request.status not in cancellable:
            raise Refusal(400, "Request cannot be cancelled in current state")
        now = self._state.now()
        cancelled = msgspec.structs.replace(
            request,
            status="cancelled",
            previous_status=request.status,
            claim_ends=None,
            cancelled_at=now,
            updated_at=now,
        )
        return self._end(cancelled, self.loop_of(request), None)

    def run_due(self, request: StoredRequest) -> None:
        """Time the request out, or release it when only its claim has expired."""
        now = self._state.now()
        if request.timeout_at > now:
            self.release(request)
            return
        timed_out = msgspec.structs.replace(
            request, status="timeout", previous_status=request.status, claim_ends=None, updated_at=now
        )
        self._end(timed_out, self.loop_of(request), None)

    def _end(self, request: StoredRequest, loop: StoredLoop, member: StoredMember | None) -> StoredRequest:
        self._put(request)
        self._publisher.request_event(f"request.{request.status}", request, loop, member)
        for notify in self.on_end:
            notify(request, member)
        return request

    def _put(self, request: StoredRequest) -> StoredRequest:
        self._state.store.put(request)
        self._state.changes.notify()
        return request

    def find(self, request_id: str) -> StoredRequest:
        request = self._state.store.get(StoredRequest, request_id)
        if request is None:
            raise Refusal(404, "Request not found")
        return request

    def open_request(self, request_id: str) -> tuple[StoredRequest, StoredLoop]:
        request = self.find(request_id)
        if request.status not in OPEN:
            raise Refusal(409, f"Request is already {request.status}")
        return request, self.loop_of(request)

    def loop_of(self, request: StoredRequest) -> StoredLoop:
        loop = self._state.store.get(StoredLoop, request.loop_id)
        if loop is None:
            raise Refusal(404, "Loop not found")
        return loop

    def reviewer(self, loop: StoredLoop, selector: str | None) -> StoredMember:
        """Find an active member by e-mail address or user id; without either, the member who joined last."""
        active = loop.active()
        if not active:
            raise Refusal(400, "No active members found in the loop")
        if selector is None:
            return active[-1]
        for member in active:
            if selector in (member.email, member.user_id):
                return member
        raise Refusal(404, "User is not a member of this loop", f"active are {', '.join(m.email for m in active)}")

    def answered_by(self, request: StoredRequest) -> StoredMember | None:
        loop = self._state.store.get(StoredLoop, request.loop_id)
        members = () if loop is None else loop.members
        return next((member for member in members if member.user_id == request.response_by), None)


def _recipient(member: StoredMember) -> BroadcastRecipient:
    return BroadcastRecipient(
        user_id=member.user_id,
        email=member.email,
        role=member.role,
        notification_sent=member.has_device,
        notification_error=None if member.has_device else "no device token",
    )
