"""What a sweep has learned, kept as it goes: endings given to the inbox, the ledger corrected, its own trail left."""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import Redis

from hitlsh.api.models.requests import RequestSummary
from hitlsh.events import Unreadable
from workers.inbox import inbox_clock
from workers.inbox.store import Callback, accept
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.api_keys import KeyIndexes
from workers.inbox.tracker.reconcile_writes import Note, SweepLease
from workers.inbox.values import Delivery
from workers.reconcile import api_reading, discovery, state
from workers.reconcile.api_calls import Shown
from workers.reconcile.progress import Findings
from workers.reconcile.snapshot import Outlook
from workers.reconcile.state import Account
from workers.settings import Settings

logger = logging.getLogger("hitl.sweeps")

#: Deliveries given to the inbox in one call.
_BATCH = 64


class Record:
    """Of one sweep. Its methods raise `LeaseLost` once another sweep has begun."""

    def __init__(
        self, settings: Settings, redis: Redis, lease: SweepLease, outlook: Outlook, indexes: KeyIndexes,
        *, next_hash: str = "",
    ) -> None:  # fmt: skip
        """`next_hash`: of the API key that is asked next about a request that this one never showed."""
        self._indexes = indexes
        self._next_hash = next_hash
        self._settings = settings
        self._redis = redis
        self._lease = lease
        self._clock = outlook.now - time.monotonic()
        # What ended before has no record any more, by either clock; accept.lua says the same.
        self._oldest = min(outlook.now, inbox_clock.read(redis).server / 1e6) - settings.retention
        self.began = outlook.now
        self.trail = outlook.trail
        self.account = Account(began=outlook.now, reason=outlook.plan.reason, cost=outlook.plan.cost)
        #: What is open still, or waits for proof, as far as this sweep has seen.
        self.known = dict(outlook.known)

    def now(self) -> float:
        """By the inbox clock, seconds since 1970."""
        return time.monotonic() + self._clock

    def leave(self, **changes: Any) -> None:
        """Change the trail; it is written with the next notes."""
        self.trail = msgspec.structs.replace(self.trail, **changes)

    def tell(self, **changes: Any) -> None:
        """Change the account of this sweep."""
        self.account = msgspec.structs.replace(self.account, **changes)

    def note(self, findings: Findings, shown: Shown, *, whole: Callback | bool = False, **trail_changes: Any) -> None:
        """Keep what an answer proves, and only then where the sweep stands.

        `whole`: it is the answer to a call for this one request; its callback, if that is ours.
        """
        self._catch_up(findings.ended)
        ended, still_open = self._news(findings.ended, whole), self._news(findings.open, whole)
        settled = self._give([shown[name] for name in ended], whole)
        # What nobody can read has not ended for us: it is in quarantine, and looked at again.
        still_open += [name for name in ended if name not in settled and name in self.known]
        if any(one.status == "claimed" for one in shown.values()):
            trail_changes["claimed"] = True
        self.leave(**trail_changes)
        self.write(
            [
                *(Note("ended", name, api_reading.created(shown[name])) for name in ended),
                *(_open(shown[name]) for name in still_open),
                *(Note("missing", name, self._next_hash) for name in findings.missing),
            ]
        )
        for name in (*settled, *findings.missing):
            self.known.pop(name, None)
        for name in still_open:
            self._checked(name)

    def write(self, notes: Iterable[Note]) -> None:
        """These, and the trail."""
        written = self._lease.write([*notes, Note("sweep", "trail", state.encode(self.trail))], began=self.began)
        if written.lost:
            logger.warning("request.lost count=%d: HITL.sh does not know them any more", written.lost)
        if written.overruled:
            logger.error(
                "decision.overruled count=%d: HITL.sh says that the requests have not ended as was posted",
                written.overruled,
            )
        self.tell(
            discovered=self.account.discovered + written.new,
            lost=self.account.lost + written.lost,
            overruled=self.account.overruled + written.overruled,
        )

    def withhold(self, name: str, until: float) -> None:
        """HITL.sh fails to show this request; what else is due goes on without it."""
        self.write([Note("hold", name, str(int(until * 1000)))])
        if name in self.known:
            self.known[name] = msgspec.structs.replace(self.known[name], hold=until)

    def _catch_up(self, ended: Sequence[str]) -> None:
        """What was asked or posted since this sweep began has a state by now, or awaits proof."""
        unsure = [name for name in ended if (known := self.known.get(name)) is None or known.callback is None]
        decided = tracked_requests.decided(self._redis, unsure)
        self.known |= tracked_requests.known(
            self._redis, [name for name in unsure if name not in decided], self._indexes
        )

    def _news(self, names: Sequence[str], whole: Callback | bool) -> list[str]:
        """Those of which a row can tell us something: known ones, and unknown ones where we discover."""
        decided = tracked_requests.decided(self._redis, [name for name in names if name not in self.known])
        return [name for name in names if name not in decided and self._is_news(name, whole)]

    def _is_news(self, name: str, whole: Callback | bool) -> bool:
        known = self.known.get(name)
        if known is None:
            return self._settings.discover
        return whole is not False or not known.needs_whole

    def _checked(self, name: str) -> None:
        known = self.known.pop(name, None)
        if known is None or known.awaits_proof:
            return  # the script has said when a doubtful one is looked at again
        request = msgspec.structs.replace(known.request, last_checked=self.now(), refused=False)
        self.known[name] = msgspec.structs.replace(known, request=request, hold=0.0, unverified=False)

    def _give(self, ended: Sequence[RequestSummary], whole: Callback | bool) -> set[str]:
        """Hand them to the inbox; answers which are settled by that, or are none of our business."""
        received_at = datetime.fromtimestamp(self.now(), UTC)
        wanted = [(shown, self._delivery(shown, whole, received_at)) for shown in ended if self._is_wanted(shown)]
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            retention = self._settings.retention
            verdicts = accept(
                self._redis,
                (delivery for _, delivery in batch),
                retention=retention,
                key_hash=self._indexes.key_hash,
            )
            for (shown, _), verdict in zip(batch, verdicts, strict=True):
                self._count(shown.id, verdict)
        unreadable = {shown.id for shown, delivery in wanted if isinstance(delivery.content, Unreadable)}
        if unreadable:
            logger.error("request.unreadable requests=%s: kept in quarantine", ",".join(sorted(unreadable)))
        return {shown.id for shown in ended} - unreadable

    def _delivery(self, shown: RequestSummary, whole: Callback | bool, received_at: datetime) -> Delivery:
        known = self.known.get(shown.id)
        asked_with = known.callback if known is not None else None
        return api_reading.delivery(shown, known, whole if isinstance(whole, Callback) else asked_with, received_at)

    def _is_wanted(self, shown: RequestSummary) -> bool:
        if shown.id in self.known:
            return True
        if self.trail.horizon is None:
            return False
        decided_at = shown.decided_at or (shown.updated_at if shown.outcome != "completed" else None)
        moment = decided_at.timestamp() if decided_at is not None else None
        return discovery.wanted(api_reading.row(shown, self.now()), self.trail.horizon, self._oldest, moment)

    def _count(self, request_id: str, verdict: str) -> None:
        known, account = self.known.get(request_id), self.account
        if known is not None and known.awaits_proof:
            if verdict == "overruled":
                self.tell(overruled=account.overruled + 1)
                logger.error("decision.overruled request=%s: HITL.sh has another outcome", request_id)
            else:
                self.tell(confirmed=account.confirmed + 1)
        elif verdict not in {"duplicate", "stale"}:
            self.tell(found=account.found + 1, discovered=account.discovered + (known is None))


def _open(shown: RequestSummary) -> Note:
    return Note("open", shown.id, api_reading.created(shown), api_reading.timeout(shown))
