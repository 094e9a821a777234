"""Runs reconciliation: reads the tracked requests, plans, makes the calls within the budget, and accepts the outcomes.

Results are saved page by page, under a lease: the run that takes over goes on from there.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from redis import Redis

from hitlsh.api import Client, RetryPolicy
from hitlsh.api.models.requests import Request
from hitlsh.callbacks import CallbackSigner
from workers.inbox import counters, inbox_clock
from workers.inbox.inbox_clock import Timekeeper
from workers.inbox.lease_renewal import LeaseThread
from workers.inbox.tracker import api_keys, loop_names, reconcile_state
from workers.inbox.tracker.api_keys import DISCOVERY, ClockStandsStill, KeyIndexes
from workers.inbox.tracker.reconcile_lease import LeaseLost, Note, ReconcileLease
from workers.inbox.tracker.tracked_requests import TrackedRequest
from workers.reconcile import api_reading, snapshot
from workers.reconcile.api_calls import ApiCaller, ReconcileBudget, RequestWithheld, Shown, Stopped
from workers.reconcile.next_checks import CALL_RETRY, NextChecks
from workers.reconcile.planning import discovery
from workers.reconcile.planning.discovery import Horizon
from workers.reconcile.planning.open_pages import OpenPages
from workers.reconcile.planning.plan_execution import PlanExecution
from workers.reconcile.planning.planner import Plan
from workers.reconcile.planning.progress import Checkpoint, Findings, Get, List, Missing, Rows
from workers.reconcile.recorder import FullFetch, Recorder
from workers.reconcile.state import ReconcileReport, merge_reports
from workers.settings import Settings

logger = logging.getLogger("hitl.reconcile")

#: Seconds of the lease; if a run dies, another takes over after that.
LEASE = 15.0
#: Seconds of work after which a reconcile run ends; the next one continues.
SLICE = 10.0
PAGE = 100
#: Seconds between two looks at an inbox clock that stands still.
CLOCK_PAUSE = 0.2
#: Seconds until the next run after one that was stopped by an error: doubled each time.
BACKOFF, LONGEST_BACKOFF = 15.0, 900.0
#: Seconds. Calls are tried again after an hour, even if HITL.sh reports a later reset.
HOUR, DAY = 3600.0, 86_400.0
#: One quick retry; a call that fails twice is left to the next run.
_RETRIES = RetryPolicy(attempts=2, max_wait=2.0)
#: Notes saved in one step.
_CHUNK = 1_000


def run(
    settings: Settings,
    redis: Redis,
    *,
    is_stopped: Callable[[], bool] = lambda: False,
    seconds: float = SLICE,
    checks_all: bool = False,
) -> ReconcileReport | None:
    """Reconcile once with each API key that is due; returns None if another run is active.

    The keys share `seconds`; the report sums up all of them. `is_stopped`: asked after each call; True ends the run.
    `checks_all`: check every open request and run discovery, whether or not they are due.
    """
    lease = ReconcileLease(redis, seconds=LEASE, retention=settings.retention)
    if not lease.acquire():
        return None
    keeper = LeaseThread(lease, lambda: [("reconcile", lease.token)], lease=LEASE)
    keeper.start()
    try:
        all_keys = _polled(settings, redis)
        uses_all = checks_all or len(all_keys) == 1
        due_keys = [key for key in all_keys if uses_all or _is_due(redis, key.indexes)] or all_keys
        reports = []
        for polled in due_keys:
            lease.key_hash = polled.indexes.key_hash
            share = seconds / len(due_keys)
            runner = ReconcileRunner(settings, redis, lease, polled, is_stopped, share, checks_all=checks_all)
            reports.append(runner.run())
        return merge_reports(reports)
    except LeaseLost:
        logger.warning("reconcile.overtaken: another reconcile run has taken over the lease")
        return None
    finally:
        keeper.stop()
        lease.release()


def is_due(settings: Settings, redis: Redis) -> bool:
    """Whether a check or discovery is due with one of the API keys."""
    return any(_is_due(redis, polled.indexes) for polled in _polled(settings, redis))


class _Polled(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that is polled."""

    api_key: str
    indexes: KeyIndexes
    #: Hash of the key to try next for a request that HITL.sh never showed to this key; '' for the last key.
    next_hash: str


def _polled(settings: Settings, redis: Redis) -> list[_Polled]:
    """Every key of the settings, the current one first."""
    indexes = _configure(settings, redis)
    next_hashes = ["", *(each.key_hash for each in indexes[:-1])]
    polled = [
        _Polled(api_key=key, indexes=key_indexes, next_hash=next_hash)
        for key, key_indexes, next_hash in zip(settings.api_keys, indexes, next_hashes, strict=True)
    ]
    return polled[::-1]


def _configure(settings: Settings, redis: Redis) -> list[KeyIndexes]:
    """Register the keys; with a new one, wait until the inbox clock runs, for about two seconds at the most."""
    timekeeper = Timekeeper()
    while True:
        try:
            return api_keys.configure(redis, settings.api_keys, lookback=settings.lookback)
        except ClockStandsStill:
            # Where a person runs the command alone, nobody else makes ticks.
            timekeeper.keep(redis)
            time.sleep(CLOCK_PAUSE)


def _is_due(redis: Redis, indexes: KeyIndexes) -> bool:
    """Whether a check is due with this key, and no pause after an error is under way."""
    now = inbox_clock.now(redis)
    record = reconcile_state.read(redis, indexes)
    return record.rests_until <= now and (record.state is None or reconcile_state.has_due_check(redis, indexes, now))


class ReconcileRunner:
    """One reconcile run with one API key, under its lease."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        lease: ReconcileLease,
        polled: _Polled,
        is_stopped: Callable[[], bool],
        seconds: float,
        *,
        checks_all: bool = False,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._polled = polled
        self._indexes = polled.indexes
        self._is_stopped = is_stopped
        self._stops_at = time.monotonic() + seconds
        self._checks_all = checks_all
        self._snapshot = snapshot.take(settings, redis, polled.api_key, polled.indexes, checks_all=checks_all)
        self._recorder = Recorder(settings, redis, lease, self._snapshot, self._indexes, next_hash=polled.next_hash)
        self._signer = CallbackSigner(settings.callback_secrets) if settings.callback_secrets else None
        #: When the next run checks what this run left unsettled; None for no special time.
        self._retry_at: float | None = None
        #: No call is made before this time, because of an error; 0.0 without one.
        self._quiet_until = 0.0
        #: No call for unverified requests is made before this time.
        self._next_unverified_at = 0.0

    def run(self) -> ReconcileReport:
        """Make the calls, save the results, and return the report."""
        key, recorder = self._polled.api_key, self._recorder
        budget = ReconcileBudget(self._redis, key, snapshot.rules(self._settings))
        with Client(key, base_url=self._settings.base_url, timeout=8.0, retries=_RETRIES, budget=budget) as client:
            api = ApiCaller(client, recorder.now)
            try:
                self._work(api, budget)
            except Stopped as stopped:
                self._record_stop(stopped)
            finally:
                recorder.update_report(calls=api.made, ended=recorder.now())
        self._finish()
        return recorder.report

    def _work(self, api: ApiCaller, budget: ReconcileBudget) -> None:
        budget.purpose = "overdue"
        self._fetch_in_full(api, self._snapshot.needs_full_fetch)
        budget.purpose = "reconcile"
        if self._settings.discover and (self._recorder.state.horizon is None or self._recorder.state.first is not None):
            # The offset of a request is known only once all requests in the list are tracked.
            self._recorder.update_report(reason="first discovery of the requests that exist", cost=0)
            self._discover(api)
            self._check_unverified(api, budget)
            self._retry_at = self._recorder.now()
            return
        horizon = self._recorder.state.horizon
        is_starved = horizon is not None and horizon.is_starved(self._snapshot.interval, self._recorder.now())
        if self._settings.discover and is_starved:
            try:
                self._discover(api)
            except Stopped as stopped:
                if stopped.trouble != "budget":
                    raise  # without calls left, overdue requests may still borrow
        budget.purpose = "overdue" if self._snapshot.may_borrow else "reconcile"
        self._run_plan(api, self._snapshot.plan)
        budget.purpose = "reconcile"
        if self._settings.discover:
            self._discover(api)
        self._check_unverified(api, budget)

    # -- the calls ------------------------------------------------------------------------------------

    def _has_time(self) -> bool:
        """Whether the run goes on; if not, the next run is due at once."""
        over = self._is_stopped() or time.monotonic() > self._stops_at
        if over:
            self._retry_at = self._recorder.now()
        return not over

    def _check_unverified(self, api: ApiCaller, budget: ReconcileBudget) -> None:
        """Check unverified requests: after all others, within their own cap on calls."""
        request_ids = [tracked.request.id for tracked in self._snapshot.unverified]
        still_tracked = [self._recorder.tracked[name] for name in request_ids if name in self._recorder.tracked]
        due = [tracked for tracked in still_tracked if tracked.unverified]
        if not due:
            return
        budget.purpose = "unverified"
        try:
            singles = [each for each in due if _needs_own_call(each)]
            listed = tuple(each.request for each in due if not _needs_own_call(each))
            if listed and (calls := budget.calls_for_unverified()):
                self._run_plan(api, self._snapshot.plan_only(listed, calls), keeps_checkpoint=False)
            self._fetch_in_full(api, singles)
        except Stopped as stopped:
            if stopped.trouble != "budget":
                raise
            now = self._recorder.now()
            self._next_unverified_at = max(now + CALL_RETRY, min(stopped.retry_at or now, now + HOUR))
        finally:
            budget.purpose = "reconcile"

    def _fetch_in_full(self, api: ApiCaller, needs_full_fetch: Sequence[TrackedRequest]) -> None:
        """Read requests one by one, with all fields and the callback URL."""
        for tracked in needs_full_fetch:
            if not self._has_time():
                return
            try:
                answer = api.full_fetch(Get(id=tracked.request.id))
            except RequestWithheld as withheld:
                self._withhold(tracked.request.id, withheld)
                continue
            if isinstance(answer, Missing):
                self._recorder.save(Findings(missing=(answer.id,)), {}, full_fetch=FullFetch())
                continue
            self._read_loop_names(api, answer)
            ids = (answer.id,)
            findings = Findings(ended=ids) if answer.outcome is not None else Findings(open=ids)
            full_fetch = FullFetch(callback=api_reading.callback_of(answer.callback_url, self._signer))
            self._recorder.save(findings, {answer.id: answer}, full_fetch=full_fetch)

    def _run_plan(self, api: ApiCaller, plan: Plan, *, keeps_checkpoint: bool = True) -> None:
        """Execute a plan. `keeps_checkpoint`: save its progress, from which a later run continues."""
        if plan.kind == "nothing":
            return
        execution = PlanExecution(plan)
        while (call := execution.next_call()) is not None and self._has_time():
            try:
                answer, shown = api.answer(call)
            except RequestWithheld as withheld:
                assert isinstance(call, Get)
                self._withhold(call.id, withheld)
                execution.skip(call)
                continue
            for request in shown.values():
                if isinstance(request, Request):
                    self._read_loop_names(api, request)
            findings = execution.step(call, answer)
            horizon = self._recorder.state.horizon
            if horizon is not None and isinstance(call, List) and isinstance(answer, Rows) and _has_dates(shown):
                horizon = horizon.step(call, answer, self._recorder.now())
            checkpoint = execution.checkpoint if keeps_checkpoint else self._recorder.state.checkpoint
            self._recorder.save(findings, shown, checkpoint=checkpoint, horizon=horizon)

    def _read_loop_names(self, api: ApiCaller, request: Request) -> None:
        """Read the names of all loops if the name of the request's loop is unknown, at most once an hour.

        Called before the request is saved, so that effects that wait for it know the name of the loop. Names are read
        again after a day, because a loop may have been renamed.
        """
        if request.loop_id is None:
            return
        read_at = self._recorder.state.loops_read_at
        is_known = loop_names.is_known(self._redis, request.loop_id)
        if (is_known and not read_at) or self._recorder.now() - read_at < (DAY if is_known else HOUR):
            return
        self._recorder.save_loop_names(api.loop_names())

    def _withhold(self, request_id: str, withheld: RequestWithheld) -> None:
        logger.warning("request.withheld request=%r again_in=%.0f: %s", request_id, LONGEST_BACKOFF, withheld)
        self._recorder.withhold(request_id, self._recorder.now() + LONGEST_BACKOFF)

    def _discover(self, api: ApiCaller) -> None:
        recorder = self._recorder
        if self._checks_all and recorder.state.horizon is not None:
            self._checks_all = False
            recorder.update_state(horizon=msgspec.structs.replace(recorder.state.horizon, discovered_at=None))
        if recorder.state.horizon is None:
            recorder.update_state(horizon=discovery.initial_horizon(self._since(), 0.0), first=Checkpoint())
            # Whole seconds, as HITL.sh gives times of decisions: those from now on count towards webhook health.
            recorder.write([Note("state", "started", str(int(recorder.now())))])
        self._read_all_open(api)
        while (horizon := cast("Horizon", recorder.state.horizon)).due_at(self._snapshot.interval) <= recorder.now():
            if not self._has_time():
                return
            call = horizon.next_call(PAGE)
            answer, shown = api.answer(call)
            page = cast("Rows", answer)
            if not _has_dates(shown):
                recorder.save(_findings_of(page), shown)
                raise Stopped(
                    "unexpected", "a list shows requests without created_at: where it ends cannot be determined"
                )
            recorder.save(_findings_of(page), shown, horizon=horizon.step(call, page, recorder.now()))

    def _read_all_open(self, api: ApiCaller) -> None:
        """Read all open requests, once, at the first start: they may have been asked long ago."""
        if (progress := self._recorder.state.first) is None:
            return
        pages = OpenPages(snapshot.statuses(self._recorder.state), PAGE, 0.0, progress)
        while self._recorder.state.first is not None and self._has_time():
            answer, shown = api.answer(pages.next_call())
            page = cast("Rows", answer)
            pages.advance(page)
            progress = pages.checkpoint
            self._recorder.save(_findings_of(page), shown, first=None if progress.done else progress)

    def _since(self) -> float:
        """When the use of this key began: what ended before is not delivered."""
        return reconcile_state.read(self._redis, self._indexes).since

    # -- the next run ---------------------------------------------------------------------------------

    def _record_stop(self, stopped: Stopped) -> None:
        recorder, now = self._recorder, self._recorder.now()
        recorder.update_report(trouble=stopped.trouble, error=stopped.reason[:500])
        if stopped.trouble == "budget":
            self._retry_at = max(now + CALL_RETRY, min(stopped.retry_at or now, now + HOUR))
            return
        recorder.update_state(failures=recorder.state.failures + 1)
        wait = min(LONGEST_BACKOFF, BACKOFF * 2.0 ** min(recorder.state.failures - 1, 10))
        self._retry_at = self._quiet_until = max(now + wait, min(stopped.retry_at or now, now + HOUR))
        if stopped.trouble == "rate_limited":
            counters.add(self._redis, {counters.RATE_LIMITED: 1})
            reconcile_state.record_rate_limit(self._redis, self._indexes, now)
        again_in = self._retry_at - now
        logger.warning("reconcile.stopped trouble=%s again_in=%.0f: %s", stopped.trouble, again_in, stopped.reason)

    def _finish(self) -> None:
        """Save the report and the alarm, and schedule the next checks."""
        recorder, guaranteed = self._recorder, self._snapshot.guaranteed_interval
        if recorder.report.trouble is None:
            recorder.update_state(failures=0)
        verified = (each.request for each in recorder.tracked.values() if not snapshot.is_only_claimed(each))
        overdue = snapshot.overdue(verified, recorder.now())
        recorder.state = snapshot.update_alarm(recorder.state, self._redis, overdue, recorder.now())
        recorder.update_state(
            report=recorder.report, guaranteed_interval=guaranteed.seconds, warning=guaranteed.warning
        )
        self._schedule_next_checks()
        logger.info(
            "reconcile.finished calls=%d found=%d discovered=%d trouble=%s: %s",
            recorder.report.calls, recorder.report.found, recorder.report.discovered, recorder.report.trouble,
            recorder.report.reason,
        )  # fmt: skip

    def _schedule_next_checks(self) -> None:
        recorder = self._recorder
        next_checks = NextChecks(
            snapshot=self._snapshot,
            began=recorder.began,
            now=recorder.now(),
            retry_at=self._retry_at,
            unverified_at=self._next_unverified_at,
        )
        moments = {name: next_checks.of_request(tracked) for name, tracked in recorder.tracked.items()}
        if self._settings.discover:
            moments[DISCOVERY] = next_checks.of_discovery(recorder.state.horizon)
        else:  # discovery may have been on before
            reconcile_state.end_discovery(self._redis, self._indexes)
        notes = [Note("due", name, str(int(moment * 1000))) for name, moment in moments.items()]
        notes.append(Note("state", "shortest", str(self._snapshot.interval)))
        notes.append(Note("state", "rests_until", f"{self._quiet_until:.6f}"))
        for start in range(0, len(notes), _CHUNK):
            recorder.write(notes[start : start + _CHUNK])


def _needs_own_call(tracked: TrackedRequest) -> bool:
    """Whether a row of a list does not suffice for the request."""
    return tracked.needs_full_fetch or snapshot.is_only_claimed(tracked)


def _has_dates(shown: Shown) -> bool:
    return all(request.created_at is not None for request in shown.values())


def _findings_of(page: Rows) -> Findings:
    """The findings of a page that was read outside a plan."""
    return Findings(
        ended=tuple(row.id for row in page.rows if row.ended),
        open=tuple(row.id for row in page.rows if not row.ended),
    )
