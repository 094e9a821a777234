"""`hitl-receiver dev`: everything on this machine, with settings made up where there are none."""

import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import click
from dotenv import dotenv_values

from service.stack import Stack
from workers.loading import load_router
from workers.settings import Settings

FOLDER = Path(".hitl")
#: What the stack in a folder runs with, for `send` and `callback-url` in another terminal.
_KEPT = "dev.env"
_SECRETS = ("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")


def environment(folder: Path = FOLDER) -> dict[str, str]:
    """This process's environment, over what the `dev` stack in `folder` runs with."""
    return {**_read(folder / _KEPT), **os.environ}


def run(folder: Path, *, port: int, handlers: str | None) -> None:
    """Run until Ctrl+C or SIGTERM."""
    environ = _prepare(folder, port, handlers)
    # Loaded here too, so that a mistake in the handlers is shown before anything starts.
    settings = Settings.from_env({"REDIS_URL": "redis://unset", **environ}, receives=True, handles=True)
    assert settings.handlers is not None
    names = [route.name for route in load_router(settings.handlers).routes]
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with Stack(folder, environ, port=port, say=_say) as stack:
        click.echo(_banner(stack, settings, names, folder))
        while not stopping.wait(0.1):
            stack.check()
        click.echo("\nstopping: no more is taken in, handlers in flight finish ...")
    click.echo("stopped.")


def _prepare(folder: Path, port: int, handlers: str | None) -> dict[str, str]:
    """The stack's settings: the environment over `.env` over what was made up here before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    given = {**_read(Path(".env")), **os.environ}
    kept = _read(folder / _KEPT)
    environ = {name: value for name, value in given.items() if name.startswith("HITL_") or name == "REDIS_URL"}
    if not any(environ.get(name) for name in _SECRETS):
        for name in _SECRETS:
            environ[name] = kept.get(name) or secrets.token_urlsafe(32)
    environ["HITL_PUBLIC_URL"] = given.get("HITL_PUBLIC_URL") or f"http://127.0.0.1:{port}"
    environ["HITL_HANDLERS"] = handlers or given.get("HITL_HANDLERS") or "examples.handlers"
    environ.setdefault("HITL_LOG_LEVEL", "WARNING")
    _write(
        folder / _KEPT,
        {name: environ[name] for name in (*_SECRETS, "HITL_PUBLIC_URL", "HITL_HANDLERS") if name in environ},
    )
    return environ


def _read(path: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _write(path: Path, values: Mapping[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())


def _say(name: str, line: str) -> None:
    click.echo(f"{click.style(f'{name:>6} │', fg='cyan')} {line}")


def program() -> str:
    """How this program is called from a shell here."""
    if shutil.which("hitl-receiver"):
        return "hitl-receiver"
    beside = Path(sys.executable).with_name("hitl-receiver")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)


def _banner(stack: Stack, settings: Settings, names: list[str], folder: Path) -> str:
    data = f"{folder}/ (embedded Valkey)" if stack.server else "the server of REDIS_URL"
    doors = []
    if settings.webhook_secrets:
        doors.append(f"{stack.url}/webhooks/hitl      account webhooks, signed")
    if settings.callback_secrets:
        doors.append(f"{stack.url}/callbacks/TOKEN    callback URLs; mint one: {program()} callback-url")
    rows = [("door", doors[0]), *(("", door) for door in doors[1:])]
    rows += [("handlers", f"{settings.handlers}: {', '.join(names)}"), ("data", data)]
    rows += [
        (
            "try",
            f"{program()} send callback-v2.completed     (in another terminal; `send` alone lists samples)",
        )
    ]
    lines = "\n".join(f"  {click.style(f'{label:<9}', bold=True)} {text}" for label, text in rows)
    return f"\nhitl-receiver is running; Ctrl+C stops it.\n\n{lines}\n"
