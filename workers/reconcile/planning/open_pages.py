"""Reads the open listings page by page, while rows leave them."""

from workers.reconcile.planning.progress import Checkpoint, List, Rows


class OpenPages:
    """Reads each open listing, newest first, down to the oldest target.

    Requests that end meanwhile leave the list, and later rows move up. So pages overlap, more after a page that shows
    no row of the previous one. The offset grows by at least half a page each time, so the reading ends.
    """

    def __init__(self, statuses: tuple[str, ...], page_size: int, oldest: float, begin: Checkpoint) -> None:
        self._statuses = statuses
        self._page_size = page_size
        self._oldest = oldest
        self._position = begin
        self._previous_ids: frozenset[str] = frozenset()
        #: Rows on the longest page: HITL.sh may show fewer than it is asked for.
        self._longest = 0

    @property
    def done(self) -> bool:
        """All listings have been read."""
        return self._position.done

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the next page begins."""
        return self._position

    def next_call(self) -> List:
        """The next page to read."""
        return List(offset=self._position.offset, limit=self._page_size, status=self._statuses[self._position.listing])

    def advance(self, page: Rows) -> None:
        """Move on after this page; to the next listing at the end of this one."""
        shown = frozenset(row.id for row in page.rows)
        # A short page with nothing new is the last, even if HITL.sh does not say so.
        is_last_page = shown <= self._previous_ids and len(shown) < self._longest
        self._longest = max(self._longest, len(shown))
        if is_last_page or not page.rows or not page.more or page.rows[-1].created_at < self._oldest:
            self._previous_ids = frozenset()
            next_listing = self._position.listing + 1
            done = next_listing >= len(self._statuses)
            self._position = Checkpoint(listing=0 if done else next_listing, overlap=self._position.overlap, done=done)
            return
        overlap = self._overlap(shown)
        # A page with nothing new is all overlap: subtracting any of it would keep the offset in place.
        step = len(page.rows) if shown <= self._previous_ids else len(page.rows) - min(overlap, len(page.rows) // 2)
        offset = self._position.offset + max(1, step)
        self._position = Checkpoint(listing=self._position.listing, offset=offset, overlap=overlap)
        self._previous_ids = shown

    def _overlap(self, shown: frozenset[str]) -> int:
        is_disjoint = bool(self._previous_ids) and self._previous_ids.isdisjoint(shown)
        return min(self._position.overlap * 2, self._page_size // 2) if is_disjoint else self._position.overlap
