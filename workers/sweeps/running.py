"""A sweep carried out: the ledger read, a plan made, the calls charged and made, what they prove accepted.

Everything is written down page by page, under a lease: whoever takes over goes on from there.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, cast

import msgspec
from redis import Redis

from hitlsh.api import Client, RetryPolicy
from hitlsh.api.models.requests import RequestSummary
from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Unreadable
from workers.inbox import keys, ledger, scripts
from workers.inbox.inbox import LONGEST_REQUEST, Callback, pack
from workers.inbox.ledger import DISCOVERY, Known
from workers.inbox.records import Delivery
from workers.inbox.sweeping import LeaseLost, Note, SweepLease
from workers.leases import LeaseThread
from workers.settings import Settings
from workers.sweeps import discovery, outlook, reading, trail
from workers.sweeps.budget import RedisBudget
from workers.sweeps.calling import Caller, Shown, Stopped, SweepBudget
from workers.sweeps.planner import Plan
from workers.sweeps.progress import Checkpoint, Findings, Get, List, Missing, Rows
from workers.sweeps.sweep import Sweep
from workers.sweeps.trail import Account, Trail
from workers.sweeps.walk import OpenWalk

logger = logging.getLogger("hitl.sweeps")

#: Seconds that a sweep holds its lease; another takes over when it has died.
LEASE = 15.0
#: Seconds of work after which a sweep leaves the rest to the next one, so that handlers get their worker back.
SLICE = 10.0
PAGE = 100
#: Seconds until a sweep that met trouble is tried again: doubled each time.
BACKOFF, LONGEST_BACKOFF = 15.0, 900.0
#: Seconds between two looks while calls are wanted and there are none.
PATIENCE = 60.0
#: A call that fails is the next sweep's; only a hiccup is waited out.
_RETRIES = RetryPolicy(attempts=2, max_wait=2.0)
_BATCH = 64


def run(settings: Settings, redis: Redis, *, stopping: Event | None = None, seconds: float = SLICE) -> Account | None:
    """Sweep once; None when another sweep is under way. `stopping` ends it after the call in hand."""
    lease = SweepLease(redis, seconds=LEASE, retention=settings.retention)
    if not lease.acquire():
        return None
    keeper = LeaseThread(lease, lambda: [("sweep", lease.token)], lease=LEASE)
    keeper.start()
    try:
        return _Run(settings, redis, lease, stopping or Event(), seconds).go()
    except LeaseLost:
        logger.warning("sweep.overtaken: another sweep went on in its place")
        return None
    finally:
        keeper.stop()
        lease.release()


class _Run:
    """One sweep under its lease."""

    def __init__(self, settings: Settings, redis: Redis, lease: SweepLease, stopping: Event, seconds: float) -> None:
        self._settings = settings
        self._redis = redis
        self._lease = lease
        self._stopping = stopping
        self._stops_at = time.monotonic() + seconds
        self._outlook = outlook.look(settings, redis)
        self._trail = self._outlook.trail
        self._known = dict(self._outlook.known)
        self._clock = self._outlook.now - time.time()
        self._began = self._outlook.now
        self._signer = CallbackSigner(settings.callback_secrets) if settings.callback_secrets else None
        self._accept = scripts.script(redis, "accept")
        self._account = Account(began=self._began, reason=self._outlook.plan.reason, cost=self._outlook.plan.cost)
        #: When a look is worthwhile at what was due and not settled; None for at once.
        self._again_at: float | None = None

    def go(self) -> Account:
        assert self._settings.api_key is not None
        routine, borrowing = (
            RedisBudget(self._redis, self._settings.api_key, rules=outlook.rules(self._settings), purpose=purpose)
            for purpose in ("sweep", "overdue")
        )
        budget = SweepBudget(routine, borrowing)
        with Client(
            self._settings.api_key, base_url=self._settings.base_url, timeout=8.0, retries=_RETRIES, budget=budget
        ) as client:
            caller = Caller(client, self._now)
            try:
                self._work(caller, budget)
            except Stopped as stopped:
                self._stopped(stopped)
            finally:
                self._account = msgspec.structs.replace(self._account, calls=caller.made, ended=self._now())
        self._leave()
        return self._account

    def _work(self, caller: Caller, budget: SweepBudget) -> None:
        budget.pressing = True
        self._prove_wholes(caller)
        if self._settings.discover and (self._trail.horizon is None or self._trail.first is not None):
            # Places in the list are known once all that stands in it is.
            self._account = msgspec.structs.replace(self._account, reason="a first look at what there is", cost=0)
            self._discover(caller)
            self._again_at = self._now()
            return
        budget.pressing = self._outlook.pressing
        self._carry_out(self._outlook.plan, caller)
        budget.pressing = False
        if self._settings.discover:
            self._discover(caller)

    # -- the calls ------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        """False when this slice is over; the rest is due at once."""
        over = self._stopping.is_set() or time.monotonic() > self._stops_at
        if over:
            self._again_at = self._now()
        return not over

    def _prove_wholes(self, caller: Caller) -> None:
        """What came by a callback URL that may be another request's is asked for by itself, with its own URL."""
        for known in self._outlook.wholes:
            if not self._goes_on():
                return
            whole = caller.whole(Get(id=known.request.id))
            if isinstance(whole, Missing):
                self._note(Findings(missing=(whole.id,)), {}, self._trail, whole=True)
                continue
            found = Findings(ended=(whole.id,)) if whole.outcome is not None else Findings(open=(whole.id,))
            self._note(found, {whole.id: whole}, self._trail, whole=reading.callback_of(whole, self._signer) or True)

    def _carry_out(self, plan: Plan, caller: Caller) -> None:
        if plan.kind == "nothing":
            return
        sweep = Sweep(plan)
        while (call := sweep.next_call()) is not None and self._goes_on():
            answer, shown = caller.answer(call)
            findings = sweep.step(call, answer)
            horizon = self._trail.horizon
            if horizon is not None and isinstance(call, List) and isinstance(answer, Rows):
                horizon = horizon.step(call, answer, self._now())
            self._note(findings, shown, _with(self._trail, checkpoint=sweep.checkpoint, horizon=horizon))

    def _discover(self, caller: Caller) -> None:
        if self._trail.horizon is None:
            begun = discovery.fresh(self._now(), self._settings.lookback)
            self._trail = _with(self._trail, horizon=begun, first=Checkpoint())
            self._write([Note("sweep", "started", f"{self._now():.6f}")])
        self._read_all_open(caller)
        while (horizon := cast("discovery.Horizon", self._trail.horizon)).due_at(self._interval) <= self._now():
            if not self._goes_on():
                return
            call = horizon.next_call(PAGE)
            answer, shown = caller.answer(call)
            page = cast("Rows", answer)
            self._note(_rows(page), shown, _with(self._trail, horizon=horizon.step(call, page, self._now())))

    def _read_all_open(self, caller: Caller) -> None:
        """Once in a ledger's life: what is open may have been asked long ago."""
        while self._trail.first is not None and self._goes_on():
            walk = OpenWalk(outlook.statuses(self._trail), PAGE, 0.0, self._trail.first)
            answer, shown = caller.answer(walk.next_call())
            walk.take(cast("Rows", answer))
            left = None if walk.done else walk.checkpoint
            self._note(_rows(cast("Rows", answer)), shown, _with(self._trail, first=left))

    @property
    def _interval(self) -> float:
        """Seconds between two discoveries."""
        return self._outlook.pace.shortest

    # -- what they prove ------------------------------------------------------------------------------

    def _note(self, findings: Findings, shown: Shown, left: Trail, *, whole: Callback | bool = False) -> None:
        """Keep what an answer proves, and only then where the sweep stands.

        `whole`: it is the answer to a call for this one request; its callback, if that is ours.
        """
        ended, still_open = self._news(findings.ended, whole), self._news(findings.open, whole)
        readable = self._accept_ended([shown[name] for name in ended], whole)
        # What nobody can read has not ended for us: it is in quarantine, and looked at again.
        still_open += [name for name in ended if name not in readable and name in self._known]
        if any(one.status == "claimed" for one in shown.values()):
            left = _with(left, claimed=True)
        self._write(
            [
                *(Note("ended", name, reading.created(shown[name])) for name in ended),
                *(
                    Note("open", name, reading.created(shown[name]), reading.timeout(shown[name]))
                    for name in still_open
                ),
                *(Note("missing", name) for name in findings.missing),
                Note("sweep", "trail", trail.encode(left)),
            ]
        )
        self._trail = left
        for name in (*readable, *findings.missing):
            self._known.pop(name, None)
        for name in still_open:
            self._checked(name)

    def _news(self, names: Sequence[str], whole: Callback | bool) -> list[str]:
        """Those of which a row can tell us something: known ones, and unknown ones where we discover."""
        decided = ledger.decided(self._redis, [name for name in names if name not in self._known])
        return [
            name
            for name in names
            if (not known.needs_whole or whole is not False
                if (known := self._known.get(name)) is not None
                else self._settings.discover and name not in decided)
        ]  # fmt: skip

    def _checked(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is None or known.awaits_proof:
            return  # the script has said when a doubtful one is looked at again
        request = msgspec.structs.replace(known.request, last_checked=self._now(), refused=False)
        self._known[name] = msgspec.structs.replace(known, request=request, hold=0.0)

    def _accept_ended(self, ended: Sequence[RequestSummary], whole: Callback | bool) -> set[str]:
        """Give them to the inbox; answers which are settled by that, or are none of our business."""
        received_at = datetime.fromtimestamp(self._now(), UTC)
        wanted = [(shown, self._delivery(shown, whole, received_at)) for shown in ended if self._is_wanted(shown)]
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            retention = self._settings.retention
            words = (retention, LONGEST_REQUEST + retention, pack(delivery for _, delivery in batch))
            _, *verdicts = cast("list[bytes | int]", self._accept(keys=[keys.PREFIX], args=words))
            for (shown, _), verdict in zip(batch, verdicts, strict=True):
                self._count(shown.id, cast("bytes", verdict).decode())
        unreadable = {shown.id for shown, delivery in wanted if isinstance(delivery.content, Unreadable)}
        if unreadable:
            logger.error("request.unreadable requests=%s: kept in quarantine", ",".join(sorted(unreadable)))
        return {shown.id for shown in ended} - unreadable

    def _delivery(self, shown: RequestSummary, whole: Callback | bool, received_at: datetime) -> Delivery:
        known = self._known.get(shown.id)
        asked_with = known.callback if known is not None else None
        return reading.delivery(shown, known, whole if isinstance(whole, Callback) else asked_with, received_at)

    def _is_wanted(self, shown: RequestSummary) -> bool:
        if shown.id in self._known:
            return True
        horizon = self._trail.horizon
        if horizon is None:
            return False
        decided_at = shown.decided_at or (shown.updated_at if shown.outcome != "completed" else None)
        moment = decided_at.timestamp() if decided_at is not None else None
        return discovery.wanted(reading.row(shown, self._now()), horizon, moment)

    def _count(self, request_id: str, verdict: str) -> None:
        known, account = self._known.get(request_id), self._account
        if known is not None and known.awaits_proof:
            if verdict == "duplicate":
                account = msgspec.structs.replace(account, confirmed=account.confirmed + 1)
            else:
                account = msgspec.structs.replace(account, contradicted=account.contradicted + 1)
                logger.error("event.contradicted request=%s: HITL.sh has another outcome", request_id)
        elif verdict != "duplicate":
            discovered = account.discovered + (known is None)
            account = msgspec.structs.replace(account, found=account.found + 1, discovered=discovered)
        self._account = account

    def _write(self, notes: Iterable[Note]) -> None:
        written = self._lease.write(notes, began=self._began)
        account = self._account
        if written.lost:
            logger.warning("request.lost count=%d: HITL.sh does not know them any more", written.lost)
        if written.contradicted:
            logger.error("event.contradicted count=%d: HITL.sh does not confirm what was posted", written.contradicted)
        self._account = msgspec.structs.replace(
            account,
            discovered=account.discovered + written.new,
            lost=account.lost + written.lost,
            contradicted=account.contradicted + written.contradicted,
        )

    # -- what is left ---------------------------------------------------------------------------------

    def _stopped(self, stopped: Stopped) -> None:
        now = self._now()
        self._account = msgspec.structs.replace(self._account, trouble=stopped.trouble, said=stopped.said[:500])
        if stopped.trouble == "budget":
            self._again_at = max(now + PATIENCE, min(stopped.again_at or now, now + 3600))
            return
        failures = self._trail.failures + 1
        self._trail = _with(self._trail, failures=failures)
        wait = min(LONGEST_BACKOFF, BACKOFF * 2.0 ** min(failures, 10))
        self._again_at = max(now + wait, stopped.again_at or 0.0)
        if stopped.trouble == "rate_limited":
            self._redis.hincrby(keys.COUNTERS, "api_429", 1)
        logger.warning(
            "sweep.stopped trouble=%s again_in=%.0f: %s", stopped.trouble, self._again_at - now, stopped.said
        )

    def _leave(self) -> None:
        """Say when what is left is worth a call, and how this sweep went."""
        if self._account.trouble is None:
            self._trail = _with(self._trail, failures=0)
        overdue = outlook.overdue([known.request for known in self._known.values()], self._now())
        self._trail = outlook.sounded(self._trail, self._redis, overdue, self._now())
        told = self._outlook.promise
        left = _with(self._trail, account=self._account, promised=told.seconds, warning=told.warning)
        moments = {name: self._next_look(known) for name, known in self._known.items()}
        if self._settings.discover and left.horizon is not None:
            moments[DISCOVERY] = self._at_least(left.horizon.due_at(self._interval))
        notes = [Note("due", name, str(int(moment * 1000))) for name, moment in moments.items()]
        for start in range(0, len(notes), 1_000):
            self._lease.write(notes[start : start + 1_000], began=self._began)
        ending = [Note("sweep", "trail", trail.encode(left)), Note("sweep", "shortest", str(self._interval))]
        self._lease.write(ending, began=self._began)
        logger.info(
            "sweep.ended calls=%d found=%d discovered=%d trouble=%s: %s",
            self._account.calls, self._account.found, self._account.discovered, self._account.trouble,
            self._account.reason,
        )  # fmt: skip

    def _next_look(self, known: Known) -> float:
        if known.hold > self._now():
            return known.hold
        due = self._outlook.pace.due_at(known.request)
        if due <= self._now() and self._outlook.waits_for_company and self._again_at is None:
            return max(self._now() + PATIENCE, self._outlook.pace.late_at(known.request))
        return self._at_least(due)

    def _at_least(self, due: float) -> float:
        """Not sooner than calls are possible again."""
        if due > self._now():
            return due
        return self._now() + PATIENCE if self._again_at is None else self._again_at

    def _now(self) -> float:
        """By the server's clock, seconds since 1970."""
        return time.time() + self._clock


def _rows(page: Rows) -> Findings:
    """What a page that nobody planned shows."""
    return Findings(
        ended=tuple(row.id for row in page.rows if row.ended),
        open=tuple(row.id for row in page.rows if not row.ended),
    )


def _open(shown: RequestSummary) -> Note:
    return Note("open", shown.id, reading.created(shown), reading.timeout(shown))


def _with(left: Trail, **changes: Any) -> Trail:
    return msgspec.structs.replace(left, **changes)
