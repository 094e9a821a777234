"""Lists that come in pages, as a walk that asks for the next page only when it is wanted."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from hitlsh.api.operations import Operation


class Identified(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Unique within the list."""


Item = TypeVar("Item", bound=Identified)


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Some items and where the next ones begin; None at the end."""

    items: tuple[Item, ...]
    next_offset: int | None = None


class PagedList(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A list: where to begin and how to ask for the page at an offset."""

    offset: int
    page_at: Callable[[int], Operation[Page[Item]]]


class PageIterator(Generic[Item]):
    """One pass through a list. An item that new arrivals push onto a later page is given once."""

    def __init__(self, listing: PagedList[Item]) -> None:
        self._listing = listing
        self._offset: int | None = listing.offset
        self._seen: set[str] = set()

    def next_page(self) -> Operation[Page[Item]] | None:
        """The call for the next page; None at the end."""
        return None if self._offset is None else self._listing.page_at(self._offset)

    def take(self, page: Page[Item]) -> list[Item]:
        """The items of a page that were not there before."""
        self._offset = page.next_offset
        fresh = [item for item in page.items if item.id not in self._seen]
        self._seen.update(item.id for item in fresh)
        return fresh


def next_offset(*, offset: int, limit: int, got: int, more: bool | None, total: int | None, said: Any) -> int | None:
    """Where the next page begins, from whichever of the paging fields HITL.sh sent.

    It always advances, so that a wrong ``next_offset`` cannot make a walk endless.
    """
    if got == 0 or more is False:
        return None
    reached = offset + got
    if more is None and (reached >= total if total is not None else got < limit):
        return None
    return said if isinstance(said, int) and not isinstance(said, bool) and said > offset else reached
