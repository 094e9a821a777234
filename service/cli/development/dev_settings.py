"""The settings of `dev`: those that are set, and generated ones in place of those that are missing."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from service.cli.environment import read_dev_settings, read_settings
from service.local import extras
from service.local.private_folder import make_private
from workers.settings import Settings, SettingsInvalid, api_keys_of

#: The sandbox listens on the receiver's port plus this.
SANDBOX_OFFSET = 100
#: The handlers of a checkout, where no others are named.
EXAMPLES = "examples.handlers"
#: The prefix of the API keys that `dev` generates for the sandbox.
_SANDBOX_KEY_PREFIX = "hitl_dev_"
#: The name of the token that `dev` generates.
DEV_TOKEN = "dev"  # noqa: S105 - a name
_SECRETS = ("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")
#: How the stack logs; commands in another terminal log as they are told there.
_LOG_SETTINGS = frozenset({"HITL_LOG_LEVEL", "HITL_LOG_FORMAT"})


def prepare_settings(folder: Path, port: int, handlers: str | None) -> dict[str, str]:
    """The stack's settings: the environment, then `.env`, then what an earlier run generated.

    Raises `SettingsInvalid` with every problem of those that are set.
    """
    make_private(folder)
    if not (folder / ".gitignore").exists():  # with `--folder .` it is the project's own
        (folder / ".gitignore").write_text("*\n")
    given = {**read_settings(Path(".env")), **os.environ}
    environ = {
        name: value for name, value in given.items() if value and (name.startswith("HITL_") or name == "REDIS_URL")
    }
    if named := handlers or environ.get("HITL_HANDLERS") or _example_handlers():
        environ["HITL_HANDLERS"] = named
    _check(environ)
    environ = {**_secrets(folder), **environ}
    environ.setdefault("HITL_PUBLIC_URL", f"http://127.0.0.1:{port}")
    environ.setdefault("HITL_LOG_LEVEL", "WARNING")
    if not api_keys_of(environ) and not environ.get("HITL_BASE_URL") and extras.is_installed("sandbox"):
        environ["HITL_API_KEY"] = sandbox_key(folder)
        environ["HITL_BASE_URL"] = f"http://127.0.0.1:{port + SANDBOX_OFFSET}/v1"
    return environ | _asking_settings(folder, port, environ)


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of the processes; the stack adds the address of Redis where none is set."""
    return Settings.from_env({"REDIS_URL": "redis://unset", **environ}, receives=True, handles=True)


def shared_settings(environ: Mapping[str, str], redis_url: str | None) -> dict[str, str]:
    """The settings for commands in another terminal. `redis_url`: of the server that `dev` started."""
    shared = {name: value for name, value in environ.items() if name not in _LOG_SETTINGS}
    return shared | ({"REDIS_URL": redis_url} if redis_url else {})


def sandbox_key(folder: Path) -> str:
    """An API key for the sandbox, the same at every start."""
    stored = read_dev_settings(folder).get("HITL_API_KEY", "")
    return stored if stored.startswith(_SANDBOX_KEY_PREFIX) else f"{_SANDBOX_KEY_PREFIX}{secrets.token_hex(16)}"


def uses_sandbox(environ: Mapping[str, str]) -> bool:
    """Whether the API key is one of the sandbox; with a real key, HITL.sh itself is used."""
    return environ.get("HITL_API_KEY", "").startswith(_SANDBOX_KEY_PREFIX)


def _check(environ: Mapping[str, str]) -> None:
    """Check what is set, before anything is generated: a misspelled name is not hidden by a generated value."""
    problems: list[str] = []
    try:
        Settings.from_env({"REDIS_URL": "redis://unset", **environ})
    except SettingsInvalid as error:
        problems = error.problems
    if not environ.get("HITL_HANDLERS"):
        problems.append(
            "no handlers are named: give your module with --handlers package.module, or set HITL_HANDLERS in .env"
        )
    if problems:
        raise SettingsInvalid(problems)


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
    return {"HITL_TOKENS": f"{DEV_TOKEN}:{token}", "HITL_RECEIVER_URL": url, "HITL_RECEIVER_TOKEN": token}


def _example_handlers() -> str | None:
    """The handlers of the checkout that is the current folder; an installed package has none."""
    return EXAMPLES if Path("examples/handlers.py").exists() else None
