"""`hitl-receiver dev`: everything on this machine, with settings made up where there are none."""

import importlib.util
import os
import secrets
import shutil
import signal
import sys
import threading
from pathlib import Path

import click

from hitlsh.api import Client
from service.cli.environment import KEPT, read, read_kept, write
from service.cli.output import echo
from service.local.private_folder import make_private
from service.local.stack import Stack
from workers.errors import HandlersInvalid
from workers.handlers.loading import load_router
from workers.settings import Settings, api_keys_of
from workers.startup_checks import check_confirmation_is_possible

#: The local HITL.sh listens so far above the receiver.
SANDBOX_OFFSET = 100
_SECRETS = ("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")
_SHARED = (
    *_SECRETS, "HITL_PUBLIC_URL", "HITL_INSECURE", "HITL_HANDLERS", "HITL_API_KEY", "HITL_API_KEYS", "HITL_BASE_URL",
    "HITL_DISCOVER", "HITL_LOOKBACK", "HITL_RECONCILE_SHARE", "HITL_ASK_RESERVE", "HITL_CHECK_WITHIN",
)  # fmt: skip


def run(folder: Path, *, port: int, handlers: str | None) -> None:
    """Run until Ctrl+C or SIGTERM."""
    environ = _prepare(folder, port, handlers)
    # Loaded here too, so that a mistake in the handlers is shown before anything starts.
    settings = Settings.from_env({"REDIS_URL": "redis://unset", **environ}, receives=True, handles=True)
    assert settings.handlers is not None
    router = load_router(settings.handlers)
    check_confirmation_is_possible(settings, router)
    names = [route.name for route in router.routes]
    sandbox_port = port + SANDBOX_OFFSET if _sandbox_serves(environ) else None
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with Stack(folder, environ, port=port, sandbox_port=sandbox_port, say=_say) as stack:
        # Kept only now: a stack that did not start must not mislead the commands of one that runs.
        write(folder / KEPT, _kept(environ, stack))
        if stack.sandbox_url:
            see_that_a_loop_exists(environ)
        _print_banner(stack, settings, names, folder)
        while not stopping.wait(0.1):
            stack.check()
        echo("stopping: no more is taken in, handlers in flight finish ...", prefix="\n")
    echo("stopped.")


def _prepare(folder: Path, port: int, handlers: str | None) -> dict[str, str]:
    """The stack's settings: the environment over `.env` over what was made up here before."""
    make_private(folder)
    if not (folder / ".gitignore").exists():  # with `--folder .` it is the project's own
        (folder / ".gitignore").write_text("*\n")
    given = {**read(Path(".env")), **os.environ}
    kept = read_kept(folder)
    environ = {
        name: value for name, value in given.items() if value and (name.startswith("HITL_") or name == "REDIS_URL")
    }
    if not any(environ.get(name) for name in _SECRETS):
        for name in _SECRETS:
            environ[name] = kept.get(name) or secrets.token_urlsafe(32)
    environ.setdefault("HITL_PUBLIC_URL", f"http://127.0.0.1:{port}")
    environ["HITL_HANDLERS"] = handlers or given.get("HITL_HANDLERS") or _example_handlers()
    environ.setdefault("HITL_LOG_LEVEL", "WARNING")
    if not api_keys_of(environ) and not environ.get("HITL_BASE_URL") and _sandbox_is_installed():
        local = sandbox_key(folder)
        environ |= {"HITL_API_KEY": local, "HITL_BASE_URL": f"http://127.0.0.1:{port + SANDBOX_OFFSET}/v1"}
    return environ


def _kept(environ: dict[str, str], stack: Stack) -> dict[str, str]:
    """What commands in another terminal need; a server of the user's own they find as this stack did."""
    embedded = {"REDIS_URL": stack.redis_url} if stack.server else {}
    return {name: environ[name] for name in _SHARED if environ.get(name)} | embedded


def _example_handlers() -> str:
    """Those of this project's own folder; an installed package has none."""
    if not Path("examples/handlers.py").exists():
        raise HandlersInvalid("Whose handlers? Name your module: --handlers package.module, or HITL_HANDLERS in .env.")
    return "examples.handlers"


def sandbox_key(folder: Path) -> str:
    """An API key for the local HITL.sh, the same at every start."""
    kept = read_kept(folder).get("HITL_API_KEY", "")
    return kept if kept.startswith("hitl_dev_") else f"hitl_dev_{secrets.token_hex(16)}"


def see_that_a_loop_exists(environ: dict[str, str]) -> None:
    """The example loop, made once."""
    with Client(environ["HITL_API_KEY"], base_url=environ["HITL_BASE_URL"]) as client:
        if not client.loops.list():
            client.loops.create("Example desk", icon="shield-check", description="Questions of the examples")


def _sandbox_serves(environ: dict[str, str]) -> bool:
    """Whether the key is one that we made up: with a real one, HITL.sh itself is the other end."""
    return environ.get("HITL_API_KEY", "").startswith("hitl_dev_")


def _sandbox_is_installed() -> bool:
    return importlib.util.find_spec("jinja2") is not None and importlib.util.find_spec("markdown_it") is not None


def _say(name: str, line: str) -> None:
    echo(line, prefix=f"{click.style(f'{name:>7} │', fg='cyan')} ")


def program() -> str:
    """How this program is called from a shell here."""
    if shutil.which("hitl-receiver"):
        return "hitl-receiver"
    beside = Path(sys.executable).with_name("hitl-receiver")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)


def _print_banner(stack: Stack, settings: Settings, names: list[str], folder: Path) -> None:
    data = f"{folder}/ (embedded Valkey)" if stack.server else "the server of REDIS_URL"
    endpoints = []
    if settings.webhook_secrets:
        endpoints.append(f"{stack.url}/webhooks/hitl      account webhooks, signed")
    if settings.callback_secrets:
        endpoints.append(f"{stack.url}/callbacks/TOKEN    callback URLs; mint one: {program()} callback-url")
    rows = [("endpoint", endpoints[0]), *(("", endpoint) for endpoint in endpoints[1:])]
    rows += [("handlers", f"{settings.handlers}: {', '.join(names)}"), ("data", data)]
    if stack.sandbox_url:
        rows.append(("HITL.sh", f"{stack.sandbox_url}/   a local one: open this page and answer as a reviewer"))
        if settings.handlers == "examples.handlers":
            rows.append(("ask", f"{_python()} examples/ask.py     (in another terminal)"))
    if settings.api_key is not None:
        rows.append(("reconcile", f"polls HITL.sh for missed decisions: {program()} status"))
    rows.append(("try", f"{program()} send callback-v2.completed     (`send` alone lists samples)"))
    echo()
    echo("hitl-receiver is running; Ctrl+C stops it.")
    echo()
    for label, text in rows:
        echo(text, prefix=f"  {click.style(f'{label:<9}', bold=True)} ")
    echo()


def _python() -> str:
    return str(Path(program()).with_name("python")) if "/" in program() else "python"
