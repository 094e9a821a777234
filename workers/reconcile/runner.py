"""A sweep carried out: the ledger read, a plan made, the calls charged and made, what they prove accepted.

Everything is written down page by page, under a lease: whoever takes over goes on from there.
"""

import logging
import time
from collections.abc import Sequence
from threading import Event
from typing import cast

import msgspec
from redis import Redis

from hitlsh.api import Client, RetryPolicy
from hitlsh.callbacks import CallbackSigner
from workers.handlers.lease_renewal import LeaseThread
from workers.inbox import inbox_clock, keys
from workers.inbox.tracker import api_keys
from workers.inbox.tracker.api_keys import KeyIndexes
from workers.inbox.tracker.reconcile_writes import LeaseLost, Note, SweepLease
from workers.inbox.tracker.tracked_requests import DISCOVERY, Known
from workers.reconcile import api_reading, discovery, snapshot
from workers.reconcile.api_calls import Caller, Shown, Stopped, SweepBudget, Withheld
from workers.reconcile.discovery import Horizon
from workers.reconcile.open_pages import OpenWalk
from workers.reconcile.planner import Plan
from workers.reconcile.progress import Checkpoint, Findings, Get, List, Missing, Row, Rows
from workers.reconcile.recorder import Record
from workers.reconcile.state import Account, together
from workers.reconcile.state_machine import Sweep
from workers.settings import Settings

logger = logging.getLogger("hitl.sweeps")

#: Seconds that a sweep holds its lease; another takes over when it has died.
LEASE = 15.0
#: Seconds of work after which a sweep leaves the rest to the next one, so that handlers get their worker back.
SLICE = 10.0
PAGE = 100
#: Seconds until a sweep that met trouble is tried again: doubled each time.
BACKOFF, LONGEST_BACKOFF = 15.0, 900.0
#: Seconds: whatever HITL.sh says, it is asked again after that.
HOUR = 3600.0
#: Seconds between two looks while calls are wanted and there are none.
PATIENCE = 60.0
#: A call that fails is the next sweep's; only a hiccup is waited out.
_RETRIES = RetryPolicy(attempts=2, max_wait=2.0)
#: Lines written to the ledger in one step.
_CHUNK = 1_000


def run(settings: Settings, redis: Redis, *, stopping: Event | None = None, seconds: float = SLICE) -> Account | None:
    """Sweep once, with each API key; None when another sweep is under way. `stopping` ends it after the call in hand.

    Of several keys those that have something to do share the time; the account is of all of them.
    """
    lease = SweepLease(redis, seconds=LEASE, retention=settings.retention)
    if not lease.acquire():
        return None
    keeper = LeaseThread(lease, lambda: [("sweep", lease.token)], lease=LEASE)
    keeper.start()
    try:
        stopping = stopping or Event()
        every = _polled(settings, redis)
        polled = [one for one in every if len(every) == 1 or _is_due(redis, one.indexes)] or every
        accounts = []
        for one in polled:
            lease.key_hash = one.indexes.key_hash
            accounts.append(_Run(settings, redis, lease, one, stopping, seconds / len(polled)).go())
        return together(accounts)
    except LeaseLost:
        logger.warning("sweep.overtaken: another sweep went on in its place")
        return None
    finally:
        keeper.stop()
        lease.release()


class _Polled(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that is polled."""

    api_key: str
    indexes: KeyIndexes
    #: Hash of the key that is asked next about a request which this one never showed, '' after the last.
    next_hash: str


def _polled(settings: Settings, redis: Redis) -> list[_Polled]:
    """Every key of the settings, the current one first."""
    indexes = api_keys.configure(redis, settings.api_keys, lookback=settings.lookback)
    nexts = ["", *(one.key_hash for one in indexes[:-1])]
    found = [
        _Polled(api_key=key, indexes=one, next_hash=following)
        for key, one, following in zip(settings.api_keys, indexes, nexts, strict=True)
    ]
    return found[::-1]


def _is_due(redis: Redis, indexes: KeyIndexes) -> bool:
    """Something is worth a call, and HITL.sh is not left alone after trouble with this key."""
    now = inbox_clock.now(redis)
    trail, rests_until = redis.hmget(indexes.state, "trail", "rests_until")
    return float(rests_until or 0) <= now and (trail is None or redis.zcount(indexes.checks, "-inf", now * 1000) > 0)


class _Run:
    """One sweep with one API key, under its lease."""

    def __init__(
        self, settings: Settings, redis: Redis, lease: SweepLease, polled: _Polled, stopping: Event, seconds: float
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._polled = polled
        self._indexes = polled.indexes
        self._stopping = stopping
        self._stops_at = time.monotonic() + seconds
        self._outlook = snapshot.look(settings, redis, polled.api_key, polled.indexes)
        self._record = Record(settings, redis, lease, self._outlook, self._indexes, next_hash=polled.next_hash)
        self._signer = CallbackSigner(settings.callback_secrets) if settings.callback_secrets else None
        #: When what was due and not settled is worth another look; None for after a while.
        self._again_at: float | None = None
        #: Until then HITL.sh is left alone, whatever else becomes due; 0.0 without trouble.
        self._rests_until = 0.0
        #: Until then there is no call for what somebody said who cannot be verified.
        self._unverified_at = 0.0

    def go(self) -> Account:
        key, record = self._polled.api_key, self._record
        budget = SweepBudget(self._redis, key, snapshot.rules(self._settings))
        with Client(key, base_url=self._settings.base_url, timeout=8.0, retries=_RETRIES, budget=budget) as client:
            caller = Caller(client, record.now)
            try:
                self._work(caller, budget)
            except Stopped as stopped:
                self._stopped(stopped)
            finally:
                record.tell(calls=caller.made, ended=record.now())
        self._leave()
        return record.account

    def _work(self, caller: Caller, budget: SweepBudget) -> None:
        budget.purpose = "overdue"
        self._prove_wholes(caller, self._outlook.wholes)
        budget.purpose = "sweep"
        if self._settings.discover and (self._record.trail.horizon is None or self._record.trail.first is not None):
            # Places in the list are known once all that stands in it is.
            self._record.tell(reason="a first look at what there is", cost=0)
            self._discover(caller)
            self._look_into_unverified(caller, budget)
            self._again_at = self._record.now()
            return
        horizon = self._record.trail.horizon
        hungry = horizon is not None and horizon.comes_first(self._interval, self._record.now())
        if self._settings.discover and hungry:
            try:
                self._discover(caller)
            except Stopped as stopped:
                if stopped.trouble != "budget":
                    raise  # else what is overdue may borrow still
        budget.purpose = "overdue" if self._outlook.pressing else "sweep"
        self._carry_out(caller, self._outlook.plan)
        budget.purpose = "sweep"
        if self._settings.discover:
            self._discover(caller)
        self._look_into_unverified(caller, budget)

    # -- the calls ------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        """False when this slice is over; the rest is due at once."""
        over = self._stopping.is_set() or time.monotonic() > self._stops_at
        if over:
            self._again_at = self._record.now()
        return not over

    def _look_into_unverified(self, caller: Caller, budget: SweepBudget) -> None:
        """After all else, and from a cap of its own."""
        names = [known.request.id for known in self._outlook.unverified]
        due = [known for name in names if (known := self._record.known.get(name)) is not None and known.unverified]
        if not due:
            return
        budget.purpose = "unverified"
        try:
            listed = tuple(known.request for known in due if not known.needs_whole and not snapshot.is_hearsay(known))
            if listed and (calls := budget.left_for_unverified()):
                self._carry_out(caller, self._outlook.plan_for(listed, calls), keeps_place=False)
            self._prove_wholes(caller, [known for known in due if known.needs_whole or snapshot.is_hearsay(known)])
        except Stopped as stopped:
            if stopped.trouble != "budget":
                raise
            now = self._record.now()
            self._unverified_at = max(now + PATIENCE, min(stopped.again_at or now, now + HOUR))
        finally:
            budget.purpose = "sweep"

    def _prove_wholes(self, caller: Caller, wholes: Sequence[Known]) -> None:
        """What came by a callback URL that may be another request's is asked for by itself, with its own URL."""
        for known in wholes:
            if not self._goes_on():
                return
            try:
                whole = caller.whole(Get(id=known.request.id))
            except Withheld as withheld:
                self._withhold(known.request.id, withheld)
                continue
            if isinstance(whole, Missing):
                self._record.note(Findings(missing=(whole.id,)), {}, whole=True)
                continue
            found = Findings(ended=(whole.id,)) if whole.outcome is not None else Findings(open=(whole.id,))
            self._record.note(
                found, {whole.id: whole}, whole=api_reading.callback_of(whole.callback_url, self._signer) or True
            )

    def _carry_out(self, caller: Caller, plan: Plan, *, keeps_place: bool = True) -> None:
        """`keeps_place`: whoever takes over goes on from its checkpoint."""
        if plan.kind == "nothing":
            return
        sweep = Sweep(plan)
        while (call := sweep.next_call()) is not None and self._goes_on():
            try:
                answer, shown = caller.answer(call)
            except Withheld as withheld:
                assert isinstance(call, Get)
                self._withhold(call.id, withheld)
                sweep.step(call, Row(id=call.id, created_at=0.0, ended=False))  # nothing is noted of it: it is left out
                continue
            findings = sweep.step(call, answer)
            horizon = self._record.trail.horizon
            if horizon is not None and isinstance(call, List) and isinstance(answer, Rows) and _dated(shown):
                horizon = horizon.step(call, answer, self._record.now())
            place = sweep.checkpoint if keeps_place else self._record.trail.checkpoint
            self._record.note(findings, shown, checkpoint=place, horizon=horizon)

    def _withhold(self, request_id: str, withheld: Withheld) -> None:
        logger.warning("request.withheld request=%r again_in=%.0f: %s", request_id, LONGEST_BACKOFF, withheld)
        self._record.withhold(request_id, self._record.now() + LONGEST_BACKOFF)

    def _discover(self, caller: Caller) -> None:
        record = self._record
        if record.trail.horizon is None:
            record.leave(horizon=discovery.fresh(self._since(), 0.0), first=Checkpoint())
            # In whole seconds, as HITL.sh says when something was decided: what is decided from now on counts.
            record.write([Note("sweep", "started", str(int(record.now())))])
        self._read_all_open(caller)
        while (horizon := cast("Horizon", record.trail.horizon)).due_at(self._interval) <= record.now():
            if not self._goes_on():
                return
            call = horizon.next_call(PAGE)
            answer, shown = caller.answer(call)
            page = cast("Rows", answer)
            if not _dated(shown):
                record.note(_all_of(page), shown)
                raise Stopped("unexpected", "a list shows requests without created_at: nobody can say where it ends")
            record.note(_all_of(page), shown, horizon=horizon.step(call, page, record.now()))

    def _read_all_open(self, caller: Caller) -> None:
        """Once in a ledger's life: what is open may have been asked long ago."""
        if (stands := self._record.trail.first) is None:
            return
        walk = OpenWalk(snapshot.statuses(self._record.trail), PAGE, 0.0, stands)
        while self._record.trail.first is not None and self._goes_on():
            answer, shown = caller.answer(walk.next_call())
            page = cast("Rows", answer)
            walk.take(page)
            left = walk.checkpoint
            self._record.note(_all_of(page), shown, first=None if left.done else left)

    def _since(self) -> float:
        """Nothing that ended before is a decision of this key: it was not used yet."""
        return float(self._redis.hget(self._indexes.state, "since") or 0)

    @property
    def _interval(self) -> float:
        """Seconds until a request just asked is worth a call, and between two discoveries."""
        return min(self._outlook.pace.shortest, self._outlook.pace.bound)

    # -- what is left ---------------------------------------------------------------------------------

    def _stopped(self, stopped: Stopped) -> None:
        record, now = self._record, self._record.now()
        record.tell(trouble=stopped.trouble, said=stopped.said[:500])
        if stopped.trouble == "budget":
            self._again_at = max(now + PATIENCE, min(stopped.again_at or now, now + HOUR))
            return
        record.leave(failures=record.trail.failures + 1)
        wait = min(LONGEST_BACKOFF, BACKOFF * 2.0 ** min(record.trail.failures - 1, 10))
        self._again_at = self._rests_until = max(now + wait, min(stopped.again_at or now, now + HOUR))
        if stopped.trouble == "rate_limited":
            self._redis.hincrby(keys.COUNTERS, "api_429", 1)
            self._redis.hset(self._indexes.state, "limited_at", f"{now:.6f}")
        again_in = self._again_at - now
        logger.warning("sweep.stopped trouble=%s again_in=%.0f: %s", stopped.trouble, again_in, stopped.said)

    def _leave(self) -> None:
        """Say when what is left is worth a call, and how this sweep went."""
        record, told = self._record, self._outlook.promise
        if record.account.trouble is None:
            record.leave(failures=0)
        spoken_of = (known.request for known in record.known.values() if not snapshot.is_hearsay(known))
        overdue = snapshot.overdue(spoken_of, record.now())
        record.trail = snapshot.sounded(record.trail, self._redis, overdue, record.now())
        record.leave(account=record.account, promised=told.seconds, warning=told.warning)
        moments = {name: self._next_look(known) for name, known in record.known.items()}
        if self._settings.discover:
            moments[DISCOVERY] = self._next_discovery()
        else:  # it may have been on before
            self._redis.zrem(self._indexes.checks, DISCOVERY)
        notes = [Note("due", name, str(int(moment * 1000))) for name, moment in moments.items()]
        notes.append(Note("sweep", "shortest", str(self._interval)))
        notes.append(Note("sweep", "rests_until", f"{self._rests_until:.6f}"))
        for start in range(0, len(notes), _CHUNK):
            record.write(notes[start : start + _CHUNK])
        logger.info(
            "sweep.ended calls=%d found=%d discovered=%d trouble=%s: %s",
            record.account.calls, record.account.found, record.account.discovered, record.account.trouble,
            record.account.reason,
        )  # fmt: skip

    def _next_discovery(self) -> float:
        horizon = self._record.trail.horizon
        return self._at_least(horizon.due_at(self._interval) if horizon is not None else 0.0)

    def _next_look(self, known: Known) -> float:
        now = self._record.now()
        if known.hold > now:
            return known.hold
        if not known.unverified:
            return self._next_routine_look(known)
        soonest = max(self._at_least(now), self._unverified_at)
        return soonest if snapshot.is_hearsay(known) else min(soonest, self._next_routine_look(known))

    def _next_routine_look(self, known: Known) -> float:
        now, pace = self._record.now(), self._outlook.pace
        due = pace.due_at(snapshot.scheduled(known))
        if due <= now and self._outlook.waits_for_company and self._again_at is None:
            return max(now + PATIENCE, self._outlook.plan.again_at or pace.late_at(known.request))
        return self._at_least(due)

    def _at_least(self, due: float) -> float:
        """Not sooner than calls are possible again."""
        now = self._record.now()
        if due > now:
            return due
        if self._again_at is not None:
            return self._again_at
        # What this sweep saw early on may be due again by its end.
        return due if due > self._record.began else now + PATIENCE


def _dated(shown: Shown) -> bool:
    return all(one.created_at is not None for one in shown.values())


def _all_of(page: Rows) -> Findings:
    """What a page that nobody planned shows."""
    return Findings(
        ended=tuple(row.id for row in page.rows if row.ended),
        open=tuple(row.id for row in page.rows if not row.ended),
    )
