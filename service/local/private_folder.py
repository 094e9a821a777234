"""Creates folders that only their owner may open: for secrets, decisions and the socket of the embedded server."""

import contextlib
import errno
import hashlib
import logging
import os
import stat
import tempfile
from pathlib import Path

from service.errors import ServiceError

logger = logging.getLogger("hitl.local")

OWNER_ONLY = 0o700
#: Bytes: the path of a Unix socket is limited to 104 on macOS and 108 on Linux.
LONGEST_SOCKET = 100


class FolderRefused(ServiceError):
    """A folder or file cannot be used safely; the message says why and what to do."""


def make_private(folder: Path) -> None:
    """Create the folder with mode 0700, or narrow an existing one. Raises `FolderRefused`.

    A symbolic link is refused, whoever owns it: a repository may contain one that leads to another folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(OWNER_ONLY)
    except FileExistsError:
        pass
    except OSError as error:
        raise FolderRefused(f"{folder} cannot be created ({error.strerror}): choose another with --folder.") from None
    # By its descriptor: nobody can replace the folder between check and change.
    descriptor = _open(folder)
    try:
        _narrow(descriptor, folder)
    finally:
        os.close(descriptor)


def check_owner(path: Path) -> None:
    """Raise `FolderRefused` for a file or folder that belongs to another user or is a link; it may be missing."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.geteuid():
        raise FolderRefused(
            f"{path} belongs to another user or is a symbolic link, so its settings are not read: remove it, "
            "or run the command in another folder."
        )


def socket_path(folder: Path, name: str) -> Path:
    """The path of a Unix socket with this name: in the folder, or in a private one if the path is too long."""
    beside = folder / name
    if len(os.fsencode(beside)) <= LONGEST_SOCKET:
        return beside
    # In the temporary folder, and the same at every start.
    private = Path(tempfile.gettempdir()) / f"hitl-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    make_private(private)
    return private / name


def _open(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if folder.is_symlink():
            raise FolderRefused(
                f"{folder} is a symbolic link: remove it, or name the folder that it leads to with --folder."
            ) from None
        reason = "it is not a folder" if error.errno == errno.ENOTDIR else error.strerror
        raise FolderRefused(f"{folder} cannot be opened ({reason}): choose another with --folder.") from None


def _narrow(descriptor: int, folder: Path) -> None:
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        raise FolderRefused(
            f"{folder} belongs to another user (uid {status.st_uid}), who could read secrets and decisions in it: "
            "choose another with --folder."
        )
    if mode & stat.S_ISVTX:
        raise FolderRefused(f"{folder} is shared by all users (mode {mode:04o}): choose another with --folder.")
    if mode == OWNER_ONLY:
        return
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, OWNER_ONLY)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != OWNER_ONLY:
        raise FolderRefused(
            f"{folder} cannot be made private: its file system keeps mode {mode:04o}; choose another with --folder."
        )
    if mode & 0o077:
        logger.warning("folder.narrowed path=%s from=%04o to=%04o", folder, mode, OWNER_ONLY)
