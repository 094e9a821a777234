"""Detects changes of Python files in the user's folders. Needs the extra `reload`."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from watchfiles import PythonFilter, watch

logger = logging.getLogger("hitl.local")

#: Milliseconds without a change after which several changes are one: an editor may save many files, and format them.
QUIET_TIME = 300


class _SourceFilter(PythonFilter):
    """Python files outside caches, folders of tools, and installed packages."""

    ignore_dirs = (*PythonFilter.ignore_dirs, "site-packages")


#: Whether a changed file is watched.
is_source = _SourceFilter()


class SourceWatch:
    """Waits in threads until the system reports changes of Python files."""

    def __init__(self, folder: Path, others: Iterable[Path] = ()) -> None:
        """Watch a folder with all that is below it, and other folders without."""
        outside = sorted({path for path in others if not path.is_relative_to(folder)})
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(folders, is_deep), name="source-watch", daemon=True)
            for folders, is_deep in (([folder], True), (outside, False))
            if folders
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5.0)

    def take_change(self) -> bool:
        """Return whether files have changed since the last call."""
        if not self._changed.is_set():
            return False
        self._changed.clear()
        return True

    def _watch(self, folders: list[Path], is_deep: bool) -> None:
        try:
            for _ in watch(
                *folders,
                watch_filter=is_source,
                step=QUIET_TIME,
                stop_event=self._stopping,
                recursive=is_deep,
                ignore_permission_denied=True,
            ):
                self._changed.set()
        except OSError as error:  # such as the limit of inotify watches
            logger.warning("reload.off error=%s: handlers are not reloaded; restart `dev` after a change", error)
