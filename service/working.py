"""Runs workers and the clock as processes."""

import signal

from service.checked_redis import IS_CHECKED, check_redis_once
from service.supervisor import Child, Supervisor, command
from workers import jobs
from workers.clock import Clock
from workers.redis_clients import command_client
from workers.settings import Settings
from workers.start_checks import say_if_nothing_is_swept

#: Seconds: the drain's own grace and a little more.
WORKER_GRACE = 30.0


def run(settings: Settings, *, processes: int) -> None:
    """One worker in this process, or several below it."""
    jobs.Work.from_settings(settings)  # a mistake in the handlers is told first, and once
    check_redis_once(settings.redis_url)
    if processes == 1:
        jobs.work(settings)
        return
    children = [
        Child(name=f"worker-{number}", argv=command("work"), environ=IS_CHECKED, grace=WORKER_GRACE)
        for number in range(1, processes + 1)
    ]
    # Together: one that still waits for its turn to stop would go on taking work in.
    Supervisor(children, together=True).run()


def run_clock(settings: Settings) -> None:
    """Tick until SIGTERM or Ctrl+C."""
    say_if_nothing_is_swept(settings)
    check_redis_once(settings.redis_url)
    # Looking again in a second is its patience: a client of little serves, and does not delay a stop.
    clock = Clock(
        command_client(settings.redis_url),
        retention=settings.retention,
        sweeps=settings.api_key is not None,
        discovers=settings.discover,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    clock.run()
