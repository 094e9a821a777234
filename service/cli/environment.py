"""The settings of a command: this process's environment, or those of the `dev` stack in this folder."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from service.local.private_folder import check_owner

FOLDER = Path(".hitl")
#: The file in which `dev` stores the settings of its stack, for commands in another terminal.
DEV_SETTINGS = "dev.env"
_KEYS_AND_SECRETS = ("HITL_API_KEY", "HITL_API_KEYS", "HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS")


def environment(folder: Path = FOLDER) -> dict[str, str]:
    """This process's environment, over the settings of the `dev` stack in `folder`.

    The settings of `dev` are ignored if a key or secret is set here: a real key must not travel to a sandbox, nor a
    generated one to HITL.sh.
    """
    if any(os.environ.get(name) for name in _KEYS_AND_SECRETS):
        return dict(os.environ)
    return {**read_dev_settings(folder), **os.environ}


def read_dev_settings(folder: Path) -> dict[str, str]:
    """The settings that `dev` stored in the folder; raises `FolderRefused` if another user may have written them."""
    for path in (folder, folder / DEV_SETTINGS):
        check_owner(path)
    return read_settings(folder / DEV_SETTINGS)


def read_settings(path: Path) -> dict[str, str]:
    """Read a file of NAME='value' lines; a missing file is empty."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write_settings(path: Path, values: Mapping[str, str]) -> None:
    """Write such a file atomically, readable by its owner alone."""
    # A new file replaces the old one, so the mode or link target of the old one does not matter.
    descriptor, written = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name}='{value}'\n" for name, value in values.items())
        Path(written).replace(path)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
