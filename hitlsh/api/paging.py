"""Lists in pages; the next page is fetched only when it is needed."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from hitlsh.api.operations import Operation


class Identified(Protocol):
    """A value with an id."""

    @property
    def id(self) -> str:
        """The id, unique within the list."""


Item = TypeVar("Item", bound=Identified)


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """One page of a list, and the offset of the next one; None at the end."""

    items: tuple[Item, ...]
    next_offset: int | None = None


class PagedList(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A list: its first offset, and the operation for the page at an offset."""

    offset: int
    page_at: Callable[[int], Operation[Page[Item]]]


class PageIterator(Generic[Item]):
    """One pass over a list. An item that newer ones move to a later page is returned once."""

    def __init__(self, listing: PagedList[Item]) -> None:
        self._listing = listing
        self._offset: int | None = listing.offset
        self._seen: set[str] = set()

    def next_page(self) -> Operation[Page[Item]] | None:
        """Return the operation for the next page; None at the end."""
        return None if self._offset is None else self._listing.page_at(self._offset)

    def new_items(self, page: Page[Item]) -> list[Item]:
        """Return the items of a page that no earlier page had."""
        self._offset = page.next_offset
        new = [item for item in page.items if item.id not in self._seen]
        self._seen.update(item.id for item in new)
        return new


def next_offset(
    *, offset: int, limit: int, count: int, has_more: bool | None, total: int | None, given: Any
) -> int | None:
    """Return the offset of the next page, from those paging fields that HITL.sh sent; None at the end.

    It is always larger than ``offset``, so that a wrong ``next_offset`` cannot cause an endless loop.
    """
    if count == 0 or has_more is False:
        return None
    end = offset + count
    if has_more is None and (end >= total if total is not None else count < limit):
        return None
    return given if isinstance(given, int) and not isinstance(given, bool) and given > offset else end
