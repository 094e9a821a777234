"""Runs the clock as a process."""

import signal

from service.local.checked_redis import check_redis_once
from workers.clock import Clock
from workers.redis_clients import command_client
from workers.settings import Settings
from workers.startup_checks import warn_if_nothing_is_reconciled


def run_clock(settings: Settings) -> None:
    """Tick until SIGTERM or Ctrl+C."""
    warn_if_nothing_is_reconciled(settings)
    check_redis_once(settings.redis_url)
    # Looking again in a second is its patience: a client of little serves, and does not delay a stop.
    clock = Clock(
        command_client(settings.redis_url),
        retention=settings.retention,
        api_keys=settings.api_keys,
        lookback=settings.lookback,
        discovers=settings.discover,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    clock.run()
