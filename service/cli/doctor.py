"""`hitl-receiver doctor`: check settings, Redis, handlers, processes, HITL.sh and the public address."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

import click
import msgspec

from service.cli.durations import counted
from service.cli.environment import DEV_SETTINGS, FOLDER, environment
from service.cli.error_messages import explain_errors
from service.cli.options import NameChoice, insecure_option, json_option
from service.cli.output import cut, echo, line_width, print_json, print_table, wrapped
from service.doctor.alert_findings import alert_findings
from service.doctor.check_catalog import CHECKED_GROUPS, GROUP_TITLES
from service.doctor.diagnosis import diagnose
from service.doctor.findings import EXIT_STATUS, Diagnosis, Finding, Level
from service.proofs.prover import Prover
from service.web.app import WEBHOOKS
from workers.redis_clients import command_client
from workers.settings import Settings

_COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "error": "red"}
_WORDS: dict[Level, str] = {"ok": "ok", "warning": "WARNING", "error": "ERROR"}
_INDENT = 11
#: Columns that the other cells of the settings table need, beside the value.
_BESIDE_VALUE = 62


@click.command()
@click.option("--prove", "url", default=None, is_flag=False, flag_value="", metavar="[URL]",
              help="Post test deliveries to this address and prove that it is this receiver; makes no other check. "
                   "Default: HITL_PUBLIC_URL, else http://127.0.0.1:8000.")  # fmt: skip
@click.option("--alerts", "tests_alerts", is_flag=True,
              help="Send a test message to each entry of HITL_ALERTS; makes no other check.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Connect neither to HITL.sh nor to the public address nor to sinks.")
@click.option("--only", "groups", multiple=True, type=NameChoice(CHECKED_GROUPS), metavar="GROUP",
              help=f"Make the checks of this group only; may be repeated: {', '.join(CHECKED_GROUPS)}.")  # fmt: skip
@insecure_option
@json_option
def doctor(url: str | None, tests_alerts: bool, offline: bool, groups: tuple[str, ...], json_wanted: bool) -> None:
    """Check settings, Redis, handlers, processes, HITL.sh and the public address.

    Each finding has a level and a fix. The exit status is 0 without warnings and errors, 1 with warnings, 2 with
    errors. The checks use one call of the API key, and import the handlers without running them. Settings come from the
    environment, or from the `dev` stack in this folder.

    Test deliveries reach no handler, and are neither stored nor counted. Run --prove with the secrets and the REDIS_URL
    of `serve`.

    \b
    hitl-receiver doctor
    hitl-receiver doctor --prove https://hooks.example.com
    hitl-receiver doctor --alerts
    hitl-receiver doctor --only settings --only handlers --offline
    """
    if (url is not None) + tests_alerts + (offline or bool(groups)) > 1:
        raise click.UsageError(
            "--prove and --alerts make no other check: give one of them, without --offline and --only."
        )
    with explain_errors():
        if url is not None:
            diagnosis = _proof(url)
        elif tests_alerts:
            diagnosis = Diagnosis(settings=(), findings=tuple(alert_findings(Settings.from_env(environment()).alerts)))
        else:
            diagnosis = diagnose(environment(), _origin_of, groups or CHECKED_GROUPS, offline=offline)
    if json_wanted:
        print_json(msgspec.to_builtins(diagnosis) | {"worst": diagnosis.worst})
    else:
        _print(diagnosis)
    sys.exit(EXIT_STATUS[diagnosis.worst])


def _proof(url: str) -> Diagnosis:
    settings = Settings.from_env(environment())
    address = url or settings.public_url or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"{address!r} is no address: give one such as https://hooks.example.com.")
    with closing(command_client(settings.redis_url)) as redis:
        findings = tuple(Prover(settings, address.removesuffix(WEBHOOKS), redis).prove())
    return Diagnosis(settings=(), findings=findings)


def _origin_of(name: str) -> str:
    return "environment" if os.environ.get(name, "").strip() else str(FOLDER / DEV_SETTINGS)


def _print(diagnosis: Diagnosis) -> None:
    for group, title in GROUP_TITLES.items():
        findings = [finding for finding in diagnosis.findings if finding.group == group]
        if not findings:
            continue
        echo(title, bold=True)
        if group == "settings" and diagnosis.settings:
            longest = max(16, line_width() - _BESIDE_VALUE)
            rows = [(one.name, cut(one.value, longest), one.origin, one.meaning) for one in diagnosis.settings]
            print_table(("NAME", "VALUE", "FROM", "MEANING"), rows, indent="  ")
        print_findings(findings)
        echo()
    print_summary(diagnosis.findings)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each with its level, its text and its fix."""
    for finding in findings:
        lines = [line for part in finding.text.split("\n") for line in _wrapped(part)]
        level = click.style(_WORDS[finding.level].ljust(_INDENT - 4), fg=_COLOURS[finding.level])
        echo(lines[0], prefix=f"  {level}  ")
        for line in lines[1:]:
            echo(line, prefix=" " * _INDENT)
        for line in _wrapped(f"→ {finding.fix}") if finding.fix else ():
            echo(line, prefix=" " * _INDENT)


def print_summary(findings: Sequence[Finding]) -> None:
    """Print how many findings have which level."""
    counts = {level: sum(finding.level == level for finding in findings) for level in _WORDS}
    echo(f"{counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}, {counts['ok']} ok.")


def _wrapped(text: str) -> list[str]:
    """Lines of text; a line of a traceback keeps its indentation and its length."""
    if text.startswith(" "):
        return [text]
    return wrapped(text, _INDENT)
