"""The check of HITL_ALERTS: a test message to each entry."""

import socket
from collections.abc import Iterator, Mapping, Sequence

from service.doctor.findings import Finding, error, ok, warning
from service.local import extras
from workers.alarms import messenger
from workers.alarms.messenger import Result

_BODY = "A test message of `hitl-receiver doctor --alerts`. Nothing is wrong, and nothing needs to be done."
_FORMS = "https://github.com/caronc/apprise/wiki"
#: What is wrong, and what to do, if a message was not taken.
_PROBLEMS: Mapping[Result, tuple[str, str]] = {
    "failed": (
        "refused the message, or cannot be reached",
        f"Compare its token, address and options with {_FORMS}, and check the network, the proxy and the firewall.",
    ),
    "invalid": ("is no URL that Apprise can use", f"Compare it with the form of that service at {_FORMS}."),
    "timeout": (
        f"did not answer within {messenger.SECONDS:.0f} seconds",
        "Check the network, the proxy and the firewall of this machine.",
    ),
}


def alert_findings(urls: Sequence[str]) -> Iterator[Finding]:
    """Send a test message to each URL. No finding shows more of a URL than its scheme, because it is a secret."""
    if not urls:
        yield warning(
            "alerts.sent",
            "HITL_ALERTS is not set, so nobody is told of an alarm.",
            "Set it for `clock` and `serve`: docs/alarms.md names the URLs of common services.",
        )
        return
    if not extras.is_installed("alerts"):
        fix = f"Run `{extras.install_command('alerts')}`."
        yield error("alerts.sent", "Apprise, which sends alarms, is not installed.", fix)
        return
    title = f"[test] hitl-receiver on {socket.gethostname()}"
    results = messenger.send_each(urls, title=title, body=_BODY, kind="info")
    # As long as one entry takes alarms, somebody is told.
    report = warning if "sent" in results else error
    for number, (url, result) in enumerate(zip(urls, results, strict=True), 1):
        entry = f"Entry {number} of {len(urls)} ({messenger.scheme(url)})"
        if result == "sent":
            yield ok("alerts.sent", f"{entry} took a test message: look whether it arrived.")
        else:
            problem, fix = _PROBLEMS[result]
            yield report("alerts.sent", f"{entry} {problem}.", fix)
