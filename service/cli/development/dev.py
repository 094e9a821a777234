"""`hitl-receiver dev`: the whole stack on this machine, with generated settings where none are set."""

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
from service.cli.environment import DEV_SETTINGS, read_dev_settings, read_settings, write_settings
from service.cli.error_messages import explain_errors
from service.cli.options import insecure_option
from service.cli.output import echo
from service.local.private_folder import make_private
from service.local.stack import Stack
from workers.errors import HandlersInvalid
from workers.handlers.loading import load_router
from workers.settings import Settings, api_keys_of
from workers.startup_checks import check_confirmation_is_possible, unsent_field_warnings

#: The sandbox listens on the receiver's port plus this.
SANDBOX_OFFSET = 100
#: The prefix of the API keys that `dev` generates for the sandbox.
_SANDBOX_KEY_PREFIX = "hitl_dev_"
_EXAMPLES = "examples.handlers"
#: The name of the token that `dev` generates.
_DEV_TOKEN = "dev"  # noqa: S105 - a name
_SECRETS = ("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")
#: The settings that commands in another terminal need.
_SHARED = (
    *_SECRETS, "HITL_PUBLIC_URL", "HITL_INSECURE", "HITL_HANDLERS", "HITL_API_KEY", "HITL_API_KEYS", "HITL_BASE_URL",
    "HITL_DISCOVER", "HITL_LOOKBACK", "HITL_RECONCILE_SHARE", "HITL_ASK_RESERVE", "HITL_CHECK_WITHIN",
    "HITL_RECEIVER_URL", "HITL_RECEIVER_TOKEN",
)  # fmt: skip


@click.command()
@click.option("--folder", default=".hitl", show_default=True, type=click.Path(path_type=Path, file_okay=False),
              help="Data folder of the embedded server.")  # fmt: skip
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the receiver.")
@click.option("--handlers", default=None,
              help="package.module[:attribute]. Default: HITL_HANDLERS, else examples.handlers in a checkout."
)  # fmt: skip
@insecure_option
def dev(folder: Path, port: int, handlers: str | None) -> None:
    """Run the whole stack on this machine.

    That is an embedded Valkey, the web process, a worker, the clock and the sandbox. Reads `.env` in this folder.
    Each missing secret is generated once and stored with the data. Ctrl+C stops the stack. Stored events remain for
    the next run.
    """
    with explain_errors():
        run(folder, port=port, handlers=handlers)


def run(folder: Path, *, port: int, handlers: str | None) -> None:
    """Run until Ctrl+C or SIGTERM."""
    environ = prepare_settings(folder, port, handlers)
    # Loaded here too, so that a mistake in the handlers is reported before anything starts.
    settings = Settings.from_env({"REDIS_URL": "redis://unset", **environ}, receives=True, handles=True)
    assert settings.handlers is not None
    router = load_router(settings.handlers)
    check_confirmation_is_possible(settings, router)
    for sentence in unsent_field_warnings(settings, router):
        echo(sentence, prefix=f"{click.style('WARNING', fg='yellow', bold=True)}  ", err=True)
    names = [route.name for route in router.routes]
    sandbox_port = port + SANDBOX_OFFSET if _uses_sandbox(environ) else None
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with Stack(folder, environ, port=port, sandbox_port=sandbox_port, print_line=_print_line) as stack:
        # Written only now: a stack that did not start must not mislead the commands of one that runs.
        write_settings(folder / DEV_SETTINGS, _shared_settings(environ, stack))
        if stack.sandbox_url:
            create_example_loop(environ)
        _print_banner(stack, settings, names, folder)
        while not stopping.wait(0.1):
            stack.check()
        echo("Stopping. Running handlers finish first.", prefix="\n")
    echo("Stopped.")


def prepare_settings(folder: Path, port: int, handlers: str | None) -> dict[str, str]:
    """The stack's settings: the environment, then `.env`, then what an earlier run generated."""
    make_private(folder)
    if not (folder / ".gitignore").exists():  # with `--folder .` it is the project's own
        (folder / ".gitignore").write_text("*\n")
    given = {**read_settings(Path(".env")), **os.environ}
    environ = {
        name: value for name, value in given.items() if value and (name.startswith("HITL_") or name == "REDIS_URL")
    }
    environ = {**_secrets(folder), **environ}
    environ.setdefault("HITL_PUBLIC_URL", f"http://127.0.0.1:{port}")
    environ["HITL_HANDLERS"] = handlers or environ.get("HITL_HANDLERS") or _example_handlers()
    environ.setdefault("HITL_LOG_LEVEL", "WARNING")
    if not api_keys_of(environ) and not environ.get("HITL_BASE_URL") and _sandbox_is_installed():
        environ["HITL_API_KEY"] = sandbox_key(folder)
        environ["HITL_BASE_URL"] = f"http://127.0.0.1:{port + SANDBOX_OFFSET}/v1"
    return environ | _asking_settings(folder, port, environ)


def _secrets(folder: Path) -> dict[str, str]:
    """A value for each secret, the same at every start; used where none is set."""
    stored = read_dev_settings(folder)
    return {name: stored.get(name) or secrets.token_urlsafe(32) for name in _SECRETS}


def _asking_settings(folder: Path, port: int, environ: dict[str, str]) -> dict[str, str]:
    """A token with which programs on this machine ask through this receiver; none where tokens are set."""
    if "HITL_TOKENS" in environ or not api_keys_of(environ):
        return {}
    token = read_dev_settings(folder).get("HITL_RECEIVER_TOKEN") or secrets.token_urlsafe(32)
    url = f"http://127.0.0.1:{port}"
    return {"HITL_TOKENS": f"{_DEV_TOKEN}:{token}", "HITL_RECEIVER_URL": url, "HITL_RECEIVER_TOKEN": token}


def _shared_settings(environ: dict[str, str], stack: Stack) -> dict[str, str]:
    """The settings for commands in another terminal. A REDIS_URL of the user's they read where `dev` did."""
    embedded = {"REDIS_URL": stack.redis_url} if stack.server else {}
    return {name: environ[name] for name in _SHARED if environ.get(name)} | embedded


def _example_handlers() -> str:
    """The handlers of the checkout that is the current folder; an installed package has none."""
    if not Path("examples/handlers.py").exists():
        raise HandlersInvalid(
            "No handlers are named: give your module with --handlers package.module, or set HITL_HANDLERS in .env."
        )
    return _EXAMPLES


def sandbox_key(folder: Path) -> str:
    """An API key for the sandbox, the same at every start."""
    stored = read_dev_settings(folder).get("HITL_API_KEY", "")
    return stored if stored.startswith(_SANDBOX_KEY_PREFIX) else f"{_SANDBOX_KEY_PREFIX}{secrets.token_hex(16)}"


def create_example_loop(environ: dict[str, str]) -> None:
    """Create a loop in the sandbox unless it has one."""
    with Client(environ["HITL_API_KEY"], base_url=environ["HITL_BASE_URL"]) as client:
        if not client.loops.list():
            client.loops.create("Example desk", icon="shield-check", description="Questions of the examples")


def _uses_sandbox(environ: dict[str, str]) -> bool:
    """Whether the API key is one of the sandbox; with a real key, HITL.sh itself is used."""
    return environ.get("HITL_API_KEY", "").startswith(_SANDBOX_KEY_PREFIX)


def _sandbox_is_installed() -> bool:
    return importlib.util.find_spec("jinja2") is not None and importlib.util.find_spec("markdown_it") is not None


def _print_line(name: str, line: str) -> None:
    echo(line, prefix=f"{click.style(f'{name:>9} │', fg='cyan')} ")


def program() -> str:
    """How this program is called from a shell in the current folder."""
    if shutil.which("hitl-receiver"):
        return "hitl-receiver"
    script = Path(sys.executable).with_name("hitl-receiver")
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return str(script)


def _print_banner(stack: Stack, settings: Settings, names: list[str], folder: Path) -> None:
    data = f"{folder}/ (embedded Valkey)" if stack.server else "the server of REDIS_URL"
    endpoints = [
        f"{stack.url}/webhooks/hitl      account webhooks, signed",
        f"{stack.url}/callbacks/TOKEN    callback URLs; create one: {program()} callback-url",
    ]
    rows = [("endpoints", endpoints[0]), *(("", endpoint) for endpoint in endpoints[1:])]
    rows += [("handlers", f"{settings.handlers}: {', '.join(names)}"), ("data", data)]
    if stack.sandbox_url:
        rows.append(("HITL.sh", f"{stack.sandbox_url}/   the sandbox: open this page and answer as a reviewer"))
        if settings.handlers == _EXAMPLES:
            rows.append(("ask", f"{_python()} examples/ask.py     (in another terminal)"))
    if any(token.name == _DEV_TOKEN for token in settings.access_tokens):
        rows.append(("agents", f"ask with the settings in {folder / DEV_SETTINGS}: see docs/agents.md"))
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
