"""The fewest pages that show given requests, when the offset of each in the list is known."""

from collections.abc import Iterable

import msgspec


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the list, one call long, and what is expected on it."""

    offset: int
    ids: tuple[str, ...]


def cover(offsets: Iterable[tuple[int, str]], span: int) -> list[Window]:
    """Windows of `span` rows over (offset, id), deepest first.

    Taken from the deep end, so that the room left over is at the newest requests, where the most is open.
    """
    windows: list[Window] = []
    held: list[str] = []
    start = deepest = -1
    for offset, name in sorted(offsets, reverse=True):
        if held and offset < start:
            windows.append(Window(offset=start, ids=tuple(held)))
            held = []
        if not held:
            deepest = offset
            start = max(0, deepest - span + 1)
        held.append(name)
    if held:
        windows.append(Window(offset=start, ids=tuple(held)))
    return windows
