"""Checks HITL_ALERTS at the start of programs that send alarms."""

from workers.settings import Settings, SettingsInvalid


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
