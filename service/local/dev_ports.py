"""Records which `dev` stack listens on which port, for messages of other stacks."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from service.local.private_folder import FolderRefused, make_private


@contextmanager
def register_ports(*ports: int) -> Iterator[None]:
    """While the context lasts, record that a stack of the current folder has these ports.

    The lock on a note ends with its process, so a killed process leaves no valid note.
    """
    with ExitStack() as notes:
        with suppress(FolderRefused, OSError):  # then messages of other stacks say less
            make_private(_folder())
            for port in ports:
                note = notes.enter_context(_note(port).open("a+"))
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note.truncate(0)
                note.write(f"process {os.getpid()}, in {Path.cwd()}")
                note.flush()
        yield


def port_owner(port: int) -> str | None:
    """The `dev` stack of this user that has the port, for a message; None if unknown."""
    with suppress(FolderRefused, OSError):
        make_private(_folder())
        with _note(port).open() as note:
            try:
                fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return f"another `hitl-receiver dev` ({note.read()})"
    return None


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"hitl-{os.getuid()}"


def _note(port: int) -> Path:
    return _folder() / f"dev-{port}"
