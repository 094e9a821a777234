"""The environment of a command: this process's own, or that of the `dev` stack in this folder."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from service.local.private_folder import see_that_it_is_ours

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
    return {**read_kept(folder), **os.environ}


def read_kept(folder: Path) -> dict[str, str]:
    """What `dev` made up in the folder; raises `FolderRefused` where another user could have written it."""
    for path in (folder, folder / KEPT):
        see_that_it_is_ours(path)
    return read(folder / KEPT)


def read(path: Path) -> dict[str, str]:
    """A file of NAME='value' lines; an absent one is empty."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write(path: Path, values: Mapping[str, str]) -> None:
    """The same, whole or not at all, and readable by its owner alone."""
    # A new file takes the old one's place: the mode of that one, or what it links to, does not matter.
    descriptor, written = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name}='{value}'\n" for name, value in values.items())
        Path(written).replace(path)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
