"""Saves the results of a reconcile run page by page: outcomes, tracked requests, and the state of the run."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import Redis

from hitlsh.api.models.requests import Request, RequestSummary
from hitlsh.callbacks import CallbackState
from hitlsh.events import Unreadable
from hitlsh.request_details import read_details
from workers.inbox import inbox_clock
from workers.inbox.store import accept
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.api_keys import KeyIndexes
from workers.inbox.tracker.reconcile_lease import Note, ReconcileLease
from workers.inbox.values import Delivery
from workers.reconcile import api_reading, state
from workers.reconcile.api_calls import Shown
from workers.reconcile.planning import discovery
from workers.reconcile.planning.progress import Findings
from workers.reconcile.snapshot import Snapshot
from workers.reconcile.state import ReconcileReport
from workers.settings import Settings
from workers.telemetry import traces

logger = logging.getLogger("hitl.reconcile")

#: Deliveries given to the inbox in one call.
_BATCH = 64
_encode = msgspec.json.Encoder().encode


class FullFetch(msgspec.Struct, frozen=True, kw_only=True):
    """The answer came from a call for one request, which shows all its fields."""

    #: The token of its callback URL; None if the URL is not ours.
    callback: CallbackState | None = None


class Recorder:
    """Records the results of one reconcile run. Its methods raise `LeaseLost` once another run has the lease."""

    def __init__(
        self, settings: Settings, redis: Redis, lease: ReconcileLease, snapshot_taken: Snapshot, indexes: KeyIndexes,
        *, next_hash: str = "",
    ) -> None:  # fmt: skip
        """`next_hash`: of the API key that is used next for a request that HITL.sh never showed to this one."""
        self._indexes = indexes
        self._next_hash = next_hash
        self._settings = settings
        self._redis = redis
        self._lease = lease
        self._clock = snapshot_taken.now - time.monotonic()
        # Records of what ended before have expired, by either clock; accept.lua uses the same bound.
        self._oldest = min(snapshot_taken.now, inbox_clock.read(redis).server / 1e6) - settings.retention
        self.began = snapshot_taken.now
        self.state = snapshot_taken.state
        self.report = ReconcileReport(
            began=snapshot_taken.now, reason=snapshot_taken.plan.reason, cost=snapshot_taken.plan.cost
        )
        #: Requests that are still open or await confirmation, as far as this reconcile run knows.
        self.tracked = dict(snapshot_taken.tracked)

    def now(self) -> float:
        """By the inbox clock, seconds since 1970."""
        return time.monotonic() + self._clock

    def update_state(self, **changes: Any) -> None:
        """Change the state; it is saved with the next notes."""
        self.state = msgspec.structs.replace(self.state, **changes)

    def update_report(self, **changes: Any) -> None:
        """Change the report of this reconcile run."""
        self.report = msgspec.structs.replace(self.report, **changes)

    def save(
        self, findings: Findings, shown: Shown, *, full_fetch: FullFetch | None = None, **state_changes: Any
    ) -> None:
        """Save what an answer shows, and only then the progress of the reconcile run.

        `full_fetch`: set when the call was made for one request alone; None for a page or a call of the plan.
        """
        self._load_changes(findings.ended)
        ended, still_open = self._relevant(findings.ended, full_fetch), self._relevant(findings.open, full_fetch)
        settled = self._deliver([shown[name] for name in ended], full_fetch)
        # An unreadable one has not ended for us: it is in quarantine, and is checked again.
        still_open += [name for name in ended if name not in settled and name in self.tracked]
        if any(one.status == "claimed" for one in shown.values()):
            state_changes["claimed"] = True
        self.update_state(**state_changes)
        self.write(
            [
                *(Note("ended", name, api_reading.created(shown[name])) for name in ended),
                *(Note("loop", name, shown[name].loop_id or "") for name in still_open),
                *(_details(shown[name], full_fetch) for name in still_open if isinstance(shown[name], Request)),
                *(_open(shown[name]) for name in still_open),
                *(Note("missing", name, self._next_hash) for name in findings.missing),
            ]
        )
        for name in (*settled, *findings.missing):
            self.tracked.pop(name, None)
        for name in still_open:
            self._mark_checked(name)

    def write(self, notes: Iterable[Note]) -> None:
        """Save these notes and the state."""
        written = self._lease.write([*notes, Note("state", "state", state.encode(self.state))], began=self.began)
        if written.lost:
            logger.warning("request.lost count=%d: HITL.sh does not know these requests any more", written.lost)
        if written.overruled:
            logger.error(
                "decision.overruled count=%d: the API shows that these requests have not ended as was delivered",
                written.overruled,
            )
        self.update_report(
            discovered=self.report.discovered + written.new,
            lost=self.report.lost + written.lost,
            overruled=self.report.overruled + written.overruled,
        )

    def save_loop_names(self, names: Mapping[str, str]) -> None:
        """Save the names of loops, by their ids."""
        self.update_state(loops_read_at=self.now())
        self.write([Note("loop_name", loop_id, _encode(name)) for loop_id, name in names.items()])

    def withhold(self, name: str, until: float) -> None:
        """HITL.sh fails to show this request: check it no sooner than `until`."""
        self.write([Note("hold", name, str(int(until * 1000)))])
        if name in self.tracked:
            self.tracked[name] = msgspec.structs.replace(self.tracked[name], hold=until)

    def _load_changes(self, ended: Sequence[str]) -> None:
        """Load requests that were asked or delivered since this reconcile run began."""
        unknown_ids = [
            name for name in ended if (request := self.tracked.get(name)) is None or request.callback is None
        ]
        ended_ids = tracked_requests.ended(self._redis, unknown_ids)
        self.tracked |= tracked_requests.read(
            self._redis, [name for name in unknown_ids if name not in ended_ids], self._indexes
        )

    def _relevant(self, names: Sequence[str], full_fetch: FullFetch | None) -> list[str]:
        """The ids to save: tracked requests, and all others if discovery is on."""
        ended_ids = tracked_requests.ended(self._redis, [name for name in names if name not in self.tracked])
        return [name for name in names if name not in ended_ids and self._is_relevant(name, full_fetch)]

    def _is_relevant(self, name: str, full_fetch: FullFetch | None) -> bool:
        tracked = self.tracked.get(name)
        if tracked is None:
            return self._settings.discover
        return full_fetch is not None or not tracked.needs_full_fetch

    def _mark_checked(self, name: str) -> None:
        tracked = self.tracked.pop(name, None)
        if tracked is None or tracked.awaits_confirmation:
            return  # the script has scheduled the next check of an unconfirmed one
        request = msgspec.structs.replace(tracked.request, last_checked=self.now(), refused=False)
        self.tracked[name] = msgspec.structs.replace(tracked, request=request, hold=0.0, unverified=False)

    def _deliver(self, ended: Sequence[RequestSummary], full_fetch: FullFetch | None) -> set[str]:
        """Give the outcomes to the inbox; returns the ids that need no further check (not the unreadable ones)."""
        received_at = datetime.fromtimestamp(self.now(), UTC)
        relevant = [shown for shown in ended if self._is_delivered(shown)]
        deliveries = [(shown, self._delivery(shown, full_fetch, received_at)) for shown in relevant]
        for start in range(0, len(deliveries), _BATCH):
            batch = deliveries[start : start + _BATCH]
            retention = self._settings.retention
            verdicts = accept(
                self._redis,
                (delivery for _, delivery in batch),
                retention=retention,
                key_hash=self._indexes.key_hash,
            )
            for (shown, _), verdict in zip(batch, verdicts, strict=True):
                self._count(shown.id, verdict)
        unreadable = {shown.id for shown, delivery in deliveries if isinstance(delivery.content, Unreadable)}
        if unreadable:
            logger.error("request.unreadable requests=%s: kept in quarantine", ",".join(sorted(unreadable)))
        return {shown.id for shown in ended} - unreadable

    def _delivery(self, shown: RequestSummary, full_fetch: FullFetch | None, received_at: datetime) -> Delivery:
        tracked = self.tracked.get(shown.id)
        callback = full_fetch.callback if full_fetch is not None else None
        if callback is None and tracked is not None:
            callback = tracked.callback
        delivery = api_reading.delivery(shown, callback, received_at)
        attributes = {"hitl.event_key": delivery.content.key, "hitl.request": shown.id, "hitl.trust": delivery.trust}
        with traces.span("producer", "reconcile", parent="", attributes=lambda: attributes) as span:
            return msgspec.structs.replace(delivery, traceparent=span.traceparent)

    def _is_delivered(self, shown: RequestSummary) -> bool:
        if shown.id in self.tracked:
            return True
        if self.state.horizon is None:
            return False
        decided_at = shown.decided_at or (shown.updated_at if shown.outcome != "completed" else None)
        moment = decided_at.timestamp() if decided_at is not None else None
        return discovery.is_delivered(api_reading.row(shown, self.now()), self.state.horizon, self._oldest, moment)

    def _count(self, request_id: str, verdict: str) -> None:
        tracked, report = self.tracked.get(request_id), self.report
        if tracked is not None and tracked.awaits_confirmation:
            if verdict == "overruled":
                self.update_report(overruled=report.overruled + 1)
                logger.error("decision.overruled request=%s: HITL.sh has another outcome", request_id)
            else:
                self.update_report(confirmed=report.confirmed + 1)
        elif verdict not in {"duplicate", "stale"}:
            self.update_report(found=report.found + 1, discovered=report.discovered + (tracked is None))


def _details(shown: RequestSummary, full_fetch: FullFetch | None) -> Note:
    callback = full_fetch.callback if full_fetch is not None else None
    return Note("details", shown.id, _encode(read_details(shown.raw)), "" if callback is None else _encode(callback))


def _open(shown: RequestSummary) -> Note:
    return Note("open", shown.id, api_reading.created(shown), api_reading.timeout(shown))
