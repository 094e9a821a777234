"""Receives the activity of the processes of a `dev` stack, and passes it to a function in a thread."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from workers.telemetry.activity import LARGEST, Activity, decode


class ActivityListener:
    """A Unix socket in a private folder, and the thread that reads it."""

    def __init__(self, path: Path, on_activity: Callable[[Activity], None], on_pause: Callable[[], None]) -> None:
        """`on_pause` is called after each `PAUSE` seconds without activity. Both are called in one thread."""
        self._path = path
        self._on_activity = on_activity
        self._on_pause = on_pause
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._read_forever, name="activity", daemon=True)
        self._stopping = threading.Event()

    #: Seconds.
    PAUSE = 0.05

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._socket.bind(os.fsencode(self._path))
        self._path.chmod(0o600)
        self._socket.settimeout(self.PAUSE)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(5.0)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _read_forever(self) -> None:
        while not self._stopping.is_set():
            try:
                datagram = self._socket.recv(LARGEST)
            except TimeoutError:
                self._on_pause()
                continue
            with contextlib.suppress(msgspec.MsgspecError):
                self._on_activity(decode(datagram))
        self._on_pause()
