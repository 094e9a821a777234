"""Reads the open listings page by page, while rows leave them."""

from workers.reconcile.planning.progress import Checkpoint, List, Rows


class OpenPages:
    """Newest first, down to the oldest target, through each open listing.

    Rows that end meanwhile leave the list and those behind them move up: pages overlap, wider after a page that
    shows no row of the one before. The offset grows by at least half a page each time, so it ends.
    """

    def __init__(self, statuses: tuple[str, ...], page_size: int, oldest: float, begin: Checkpoint) -> None:
        self._statuses = statuses
        self._page_size = page_size
        self._oldest = oldest
        self._at = begin
        self._before: frozenset[str] = frozenset()
        #: Rows on the longest page: HITL.sh may show fewer than it is asked for.
        self._longest = 0

    @property
    def done(self) -> bool:
        return self._at.done

    @property
    def checkpoint(self) -> Checkpoint:
        return self._at

    def next_call(self) -> List:
        return List(offset=self._at.offset, limit=self._page_size, status=self._statuses[self._at.listing])

    def take(self, page: Rows) -> None:
        """Move on; to the next listing at the end of this one."""
        shown = frozenset(row.id for row in page.rows)
        # Nothing new on a short page: that is the end, even where HITL.sh does not say so.
        bottom = shown <= self._before and len(shown) < self._longest
        self._longest = max(self._longest, len(shown))
        if bottom or not page.rows or not page.more or page.rows[-1].created_at < self._oldest:
            self._before = frozenset()
            following = self._at.listing + 1
            done = following >= len(self._statuses)
            self._at = Checkpoint(listing=0 if done else following, overlap=self._at.overlap, done=done)
            return
        overlap = self._overlap(shown)
        # A page of nothing new: all of it is overlap, and keeping any would pin the cursor.
        step = len(page.rows) if shown <= self._before else len(page.rows) - min(overlap, len(page.rows) // 2)
        self._at = Checkpoint(listing=self._at.listing, offset=self._at.offset + max(1, step), overlap=overlap)
        self._before = shown

    def _overlap(self, shown: frozenset[str]) -> int:
        is_torn = bool(self._before) and self._before.isdisjoint(shown)
        return min(self._at.overlap * 2, self._page_size // 2) if is_torn else self._at.overlap
