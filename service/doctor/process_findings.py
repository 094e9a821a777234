"""The checks of the other processes: whether workers and a clock run."""

from collections.abc import Iterator

from redis import Redis

from service.cli.durations import counted
from service.doctor.findings import Finding, error, ok, warning
from workers.inbox import inbox_clock, presence
from workers.inbox.queries import due_work
from workers.queue import DRAIN, RECONCILE, JobKind, count_workers
from workers.settings import Settings


def process_findings(redis: Redis, settings: Settings) -> Iterator[Finding]:
    """Check the processes; raises `RedisError`."""
    yield _workers_finding(redis)
    if settings.api_key is not None:
        yield _reconcile_finding(redis)
    yield _clock_finding(redis)


def _workers_finding(redis: Redis) -> Finding:
    workers = count_workers(redis, DRAIN)
    work = due_work.read(redis, (), inbox_clock.now(redis))
    if not workers:
        waiting = f" {counted(work.due, 'item')} of work {'is' if work.due == 1 else 'are'} due." if work.due else ""
        return error(
            "processes.handlers",
            f"No worker is connected to the queue {DRAIN.queue}, so no handler runs.{waiting}",
            "Start `hitl-receiver work` with the REDIS_URL that is set here.",
        )
    if work.overdue and not work.drains:
        return warning(
            "processes.handlers",
            f"{_connected(workers, DRAIN)}, but due work waits and none takes it.",
            "See the log of `hitl-receiver work`, and that a clock process runs.",
        )
    return ok("processes.handlers", f"{_connected(workers, DRAIN)}.")


def _reconcile_finding(redis: Redis) -> Finding:
    workers = count_workers(redis, RECONCILE)
    if workers:
        return ok("processes.reconcile", f"{_connected(workers, RECONCILE)}.")
    return warning(
        "processes.reconcile",
        f"No worker is connected to the queue {RECONCILE.queue}, so decisions that the webhooks miss are not found.",
        f"Set HITL_API_KEY for `hitl-receiver work`, or start `hitl-receiver work --queue {RECONCILE.queue}`.",
    )


def _clock_finding(redis: Redis) -> Finding:
    if presence.is_present(redis, "clock"):
        return ok("processes.clock", "A clock process runs.")
    return warning(
        "processes.clock",
        "No clock process has announced itself in the last 10 seconds: retries and reconcile runs are not enqueued.",
        "Start `hitl-receiver clock` with the REDIS_URL that is set here.",
    )


def _connected(workers: int, kind: JobKind) -> str:
    return f"{counted(workers, 'worker')} {'is' if workers == 1 else 'are'} connected to the queue {kind.queue}"
