"""`hitl-receiver clock`: the process that enqueues due work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from service.cli.error_messages import explain_errors
from service.cli.options import insecure_option
from service.start_checks import check_alerts, check_redis_once
from workers.clock import Clock
from workers.redis_clients import check_client, command_client
from workers.settings import Settings
from workers.startup_checks import warn_if_nothing_is_reconciled


@click.command()
@insecure_option
def clock() -> None:
    """Enqueue due work once a second. Run one or more. Needs REDIS_URL.

    With HITL_API_KEY, it enqueues reconcile runs too.
    """
    with explain_errors():
        run(Settings.from_env())


def run(settings: Settings) -> None:
    """Tick until SIGTERM or Ctrl+C."""
    from workers.alarms.watch import AlarmWatch

    warn_if_nothing_is_reconciled(settings)
    check_alerts(settings)
    check_redis_once(settings.redis_url, until_then="no due work is enqueued")
    # The clock tries again every second, so its client need not retry, and does not delay a stop.
    ticking = Clock(
        command_client(settings.redis_url),
        retention=settings.retention,
        api_keys=settings.api_keys,
        lookback=settings.lookback,
        discovers=settings.discover,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ticking.stop())
    watch = AlarmWatch(settings, check_client(settings.redis_url), "clock")
    watch.start()
    with serving_metrics(settings):
        ticking.run()
    watch.stop()


@contextmanager
def serving_metrics(settings: Settings) -> Iterator[None]:
    """Serve the metrics meanwhile, if HITL_METRICS_PORT is set."""
    if not settings.metrics_port:
        yield
        return
    from service.metrics import exposition

    stop = exposition.listen(settings)
    try:
        yield
    finally:
        stop()
