"""Checks before a process starts: its settings must allow what the handlers ask for."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.settings import Settings, SettingsInvalid

if TYPE_CHECKING:  # the clock has no routes
    from workers.routing.router import Router

logger = logging.getLogger("hitl.reconcile")


def check_confirmation_is_possible(settings: Settings, router: "Router") -> None:
    """Raises `SettingsInvalid` where handlers demand confirmed decisions and no API key is set to confirm them."""
    waiting = router.demands_confirmation
    if settings.api_key is None and waiting:
        problem = (
            f"HITL_API_KEY is not set, and {_listed(waiting)} may have to wait until HITL.sh confirms a decision, "
            "which without a key never happens: set HITL_API_KEY to the API key of your account (here and for "
            "`clock`), or take the condition on trust from the route"
        )
        raise SettingsInvalid([problem])


def warn_if_nothing_is_reconciled(settings: Settings) -> None:
    """Log once, at the start, that without an API key a decision whose webhook is lost stays unknown."""
    if settings.api_key is None:
        logger.warning("reconcile.off: HITL_API_KEY is not set, so nothing that the webhooks miss is looked for")


def unsent_field_warnings(settings: Settings, router: "Router") -> tuple[str, ...]:
    """Sentences about routes that, without an API key, may miss fields that they read; none with a key."""
    if settings.api_key is not None:
        return ()
    from workers.routing.unsent_fields import DeliveryPath, unsent_fields

    secrets: dict[DeliveryPath, object] = {
        "callback URL": settings.callback_secrets,
        "account webhook": settings.webhook_secrets,
    }
    # A worker may have neither secret.
    paths = [path for path, secret in secrets.items() if secret] or list(secrets)
    return tuple(
        f"{one.route} reads {one.describe()}. Without HITL_API_KEY nobody can look up what a delivery lacks, and a "
        "condition on it does not hold: set HITL_API_KEY, or have the route read other fields"
        for one in unsent_fields(router.routes, paths)
    )


def warn_of_unsent_fields(settings: Settings, router: "Router") -> None:
    """Log each of these sentences, at the start."""
    for sentence in unsent_field_warnings(settings, router):
        logger.warning("route.unsent_fields: %s", sentence)


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
