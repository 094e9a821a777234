"""The checks of the user's handlers and their sinks."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from urllib.request import getproxies

from service.cli.user_handlers import HandlersBroken, load_user_router
from service.doctor.findings import Finding, error, ok, warning
from workers.errors import WorkersError
from workers.routing.router import Router
from workers.settings import Settings, SettingsInvalid
from workers.sinks.slack import Slack
from workers.sinks.webhook import Webhook
from workers.startup_checks import check_confirmation_is_possible, unsent_field_warnings

#: Seconds to wait for a connection to a sink's host.
CONNECT_SECONDS = 3.0


def handler_findings(settings: Settings, *, offline: bool = False) -> Iterator[Finding]:
    """Import the handlers as a worker does, and check their routes. `offline`: connect to no sink."""
    if settings.handlers is None:
        return  # settings.work reports it
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a module may print, and standard output is for the report
            router = load_user_router(settings.handlers)
    except (HandlersBroken, WorkersError) as failure:
        text = failure.message if isinstance(failure, HandlersBroken) else f"The handlers are not usable: {failure}"
        yield error("handlers.import", text, "Correct it; `work` does not start with these handlers.")
        return
    except SystemExit:
        text = f"The module {settings.handlers} ends the program when it is imported."
        yield error("handlers.import", text, 'Put what it runs below `if __name__ == "__main__":`.')
        return
    names = ", ".join(route.name for route in router.routes)
    yield ok("handlers.import", f"{settings.handlers} can be imported; its routes: {names}.")
    yield from _field_findings(settings, router)
    yield _confirmation_finding(settings, router)
    if not offline:
        yield from _sink_findings(router)


def _field_findings(settings: Settings, router: Router) -> Iterator[Finding]:
    sentences = unsent_field_warnings(settings, router)
    for sentence in sentences:
        yield warning("handlers.fields", f"{sentence}.", "Set HITL_API_KEY, or have the route read other fields.")
    if not sentences:
        yield ok("handlers.fields", "Every field that a route reads is sent by HITL.sh or can be read at its API.")


def _confirmation_finding(settings: Settings, router: Router) -> Finding:
    try:
        check_confirmation_is_possible(settings, router)
    except SettingsInvalid as refusal:
        return error(
            "handlers.confirmation",
            f"{' '.join(refusal.problems)}.",
            "Set HITL_API_KEY, or take the condition on trust from the route.",
        )
    return ok("handlers.confirmation", "Each route can be given the trust that it demands.")


def _sink_findings(router: Router) -> Iterator[Finding]:
    """Connect to the host of each sink, and send nothing."""
    reached: list[str] = []
    for route in router.routes:
        address = _address_of(route.handler)
        if address is None:
            continue
        host, port = address
        if (problem := _connection_problem(host, port)) is None:
            reached.append(f"{route.name} ({host}:{port})")
            continue
        yield warning(
            "handlers.sinks",
            f"{route.name} forwards to {host}:{port}, which cannot be reached from here ({problem}).",
            "Check the address in your handlers, and the firewall between; `work` tries again as the route's policy "
            "says, and what gives up is listed by `hitl-receiver failed`.",
        )
    if reached:
        yield ok("handlers.sinks", f"Reached: {', '.join(reached)}.")


def _address_of(send: object) -> tuple[str, int] | None:
    """Host and port of the sink that a route calls; None for other handlers, also for sinks that users write."""
    sink = getattr(send, "__self__", None)
    return sink.address if isinstance(sink, Slack | Webhook) else None


def _connection_problem(host: str, port: int) -> str | None:
    proxies = getproxies()
    if proxies.get("http") or proxies.get("https") or proxies.get("all"):
        return None  # sinks connect through it, and it resolves the name
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as problem:
        return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
    return None
