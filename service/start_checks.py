"""Checks that a program makes at its start, before it does anything else."""

import os

from workers.redis_checks import check_redis
from workers.settings import Settings, SettingsInvalid

#: Set in the environment of a process whose parent has checked the server.
IS_CHECKED = {"HITL_REDIS_IS_CHECKED": "1"}


def is_checked() -> bool:
    """Whether the parent process has made the checks of a start."""
    return IS_CHECKED.items() <= os.environ.items()


def check_redis_once(url: str, *, until_then: str) -> None:
    """Check the server, unless the parent process has done so. `until_then`: what happens while it does not answer."""
    if not is_checked():
        check_redis(url, until_then=until_then)


def check_alerts(settings: Settings, *, every_url: bool = True) -> None:
    """Raise `ExtraMissing` without the extra, and `SettingsInvalid` for URLs that Apprise cannot use.

    `every_url`: check each URL, which takes two seconds.
    """
    if not settings.alerts:
        return
    from service.local import extras
    from workers.alarms import messenger

    extras.require("alerts", "HITL_ALERTS is set, and alarms are sent through Apprise, which is not installed")
    numbers = messenger.invalid_urls(settings.alerts) if every_url else []
    if numbers:
        entries = "entries" if len(numbers) > 1 else "entry"
        problem = (
            f"HITL_ALERTS: Apprise cannot use {entries} {', '.join(map(str, numbers))} of {len(settings.alerts)}: "
            "compare with the form of that service at https://github.com/caronc/apprise/wiki"
        )
        raise SettingsInvalid([problem])
