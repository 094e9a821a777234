"""The environment of a command: this process's own, or that of the `dev` stack in this folder."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

FOLDER = Path(".hitl")
#: What the stack in a folder runs with, for commands in another terminal.
KEPT = "dev.env"
_OURS = ("HITL_API_KEY", "HITL_API_KEYS", "HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")


def environment(folder: Path = FOLDER) -> dict[str, str]:
    """This process's environment; below it what `dev` made up in `folder`, unless a key or secret is set here.

    Never a mixture of the two: a real key must not travel to a sandbox, nor a made-up one to HITL.sh.
    """
    if any(os.environ.get(name) for name in _OURS):
        return dict(os.environ)
    return {**read(folder / KEPT), **os.environ}


def read(path: Path) -> dict[str, str]:
    """A file of NAME='value' lines; an absent one is empty."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write(path: Path, values: Mapping[str, str]) -> None:
    """The same, readable by its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())
