"""The fewest pages that show given requests, when the offset of each in the list is known."""

from collections.abc import Iterable

import msgspec


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A range of the list that one call reads, and the requests expected on it."""

    offset: int
    ids: tuple[str, ...]


def cover(offsets: Iterable[tuple[int, str]], span: int) -> list[Window]:
    """Windows of `span` rows over (offset, id), deepest first.

    Windows are filled from the deep end, so that spare rows show the newest requests, most of which are open.
    """
    windows: list[Window] = []
    window_ids: list[str] = []
    start = deepest = -1
    for offset, name in sorted(offsets, reverse=True):
        if window_ids and offset < start:
            windows.append(Window(offset=start, ids=tuple(window_ids)))
            window_ids = []
        if not window_ids:
            deepest = offset
            start = max(0, deepest - span + 1)
        window_ids.append(name)
    if window_ids:
        windows.append(Window(offset=start, ids=tuple(window_ids)))
    return windows
