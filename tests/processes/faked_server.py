"""An embedded server whose clock can be set to another time (Debian's faketime)."""

import os
from functools import cache
from pathlib import Path

import pytest

from service.local.embedded_server import EmbeddedServer

LIBRARIES = [Path("/usr/lib"), Path("/usr/local/lib"), Path("/opt/homebrew/lib")]


@cache
def library() -> Path:
    """The library that stands between a process and the clock. Skips the test without it, but not in CI."""
    for folder in LIBRARIES:
        for found in sorted(folder.glob("**/faketime/libfaketimeMT.so.1")):
            return found
    missing = "the server's clock cannot be set without libfaketime: install Debian's package faketime"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class FakedServer(EmbeddedServer):
    """Its wall clock is off by `offset` seconds; its monotonic clock is the host's."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        super().__init__(folder, port=port)
        self._library = library()
        self._offset_file = folder / "offset"
        folder.mkdir(parents=True, exist_ok=True)
        self._offset_file.write_text("+0")

    def set_offset(self, seconds: float) -> None:
        """Takes effect at once: the server asks the file each time."""
        written = self._offset_file.with_suffix(".new")
        written.write_text(f"{seconds:+.3f}")
        written.replace(self._offset_file)

    def start(self) -> "FakedServer":
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("LD_PRELOAD", str(self._library))
            environment.setenv("FAKETIME_TIMESTAMP_FILE", str(self._offset_file.resolve()))
            environment.setenv("FAKETIME_NO_CACHE", "1")
            environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            environment.setenv("DONT_FAKE_MONOTONIC", "1")
            super().start()
        return self
