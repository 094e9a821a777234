"""The text that `dev` prints once its stack runs."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.development import dev_settings
from service.cli.environment import DEV_SETTINGS
from service.cli.output import echo
from service.local import extras
from service.local.stack import Stack
from workers.settings import Settings


def program() -> str:
    """The command with which a shell in the current folder starts this program."""
    if shutil.which("hitl-receiver"):
        return "hitl-receiver"
    script = Path(sys.executable).with_name("hitl-receiver")
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return str(script)


def print_banner(stack: Stack, settings: Settings, names: Sequence[str], folder: Path) -> None:
    """Print addresses, files and first commands."""
    address = settings.public_url or stack.url
    data = f"{folder}/ ({stack.server.description})" if stack.server else "the server of REDIS_URL"
    endpoints = [
        f"{address}/webhooks/hitl      account webhooks, signed",
        f"{address}/callbacks/TOKEN    callback URLs; create one: {program()} callback-url",
    ]
    rows = [("endpoints", endpoints[0]), *(("", endpoint) for endpoint in endpoints[1:])]
    rows += [("handlers", f"{settings.handlers}: {', '.join(names)}"), ("data", data)]
    if stack.sandbox_url:
        rows.append(("HITL.sh", f"{stack.sandbox_url}/   the sandbox: open this page and answer as a reviewer"))
        if settings.handlers == dev_settings.EXAMPLES:
            rows.append(("ask", f"{_python()} examples/ask.py     (in another terminal)"))
    if any(token.name == dev_settings.DEV_TOKEN for token in settings.access_tokens):
        rows.append(("agents", f"ask with the settings in {folder / DEV_SETTINGS}: see docs/agents.md"))
    if stack.sandbox_url is None and settings.api_key is None:
        sandbox = f"for a local one, {extras.install_command('sandbox')}; for your account, set HITL_API_KEY"
        rows.append(("HITL.sh", f"not connected: {sandbox}"))
    if settings.api_key is not None:
        rows.append(("reconcile", f"polls HITL.sh for missed decisions: {program()} status"))
    if not extras.is_installed("reload"):
        rows.append(("reload", f"off, restart after a change of your handlers; or {extras.install_command('reload')}"))
    rows.append(("try", f"{program()} send callback-v2.completed     (`send` alone lists samples)"))
    echo()
    echo("hitl-receiver is running; Ctrl+C stops it.")
    echo()
    for label, text in rows:
        echo(text, prefix=f"  {click.style(f'{label:<9}', bold=True)} ")
    echo()


def _python() -> str:
    return str(Path(program()).with_name("python")) if "/" in program() else "python"
