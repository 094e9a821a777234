"""Discovery: requests of this API key that nobody announced, searched for in the unfiltered newest-first listing.

A page shows all requests between its first row and its last. Discovery joins pages downwards until they reach the
horizon. Where the list moved meanwhile (deleted loops) two pages may not meet: then it goes back.
"""

import math

import msgspec

from workers.reconcile.planning.progress import List, Row, Rows

#: A row turns up at most so many seconds after its `created_at`.
LATE = 5.0
#: Rows that a page shares with the one before; more once two pages did not meet.
OVERLAP = 5
#: After so many intervals discovery goes before the checks of tracked requests.
STARVED_AFTER = 4.0


class NewestPages(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of discovery over several pages: all from `newest` down to `last` has been shown."""

    #: Where the next page begins.
    offset: int
    #: `created_at` of the first row, when it began.
    newest: float
    #: `created_at` and id of the last row.
    last: float
    last_id: str
    overlap: int = OVERLAP
    #: Rows on the longest page: one that is shorter is at the end.
    longest: int = 0


class Horizon(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Up to which time every request is tracked, and before which nothing is delivered. Kept as JSON."""

    #: Nothing decided before is ever delivered.
    since: float
    #: Every request created at that second or before is tracked.
    seen_to: float
    #: When that was last brought forward.
    discovered_at: float | None = None
    descent: NewestPages | None = None

    def due_at(self, interval: float) -> float:
        """When discovery is worth a call: each `interval` seconds, and at once while it is unfinished."""
        if self.discovered_at is None or self.descent is not None:
            return 0.0
        return self.discovered_at + interval

    def comes_first(self, interval: float, now: float) -> bool:
        """Whether it has waited so long that it must go before the checks of tracked requests."""
        return self.discovered_at is None or self.discovered_at + STARVED_AFTER * interval <= now

    def next_call(self, page_size: int) -> List:
        """The next page to read; of two rows or more."""
        return List(offset=0 if self.descent is None else self.descent.offset, limit=page_size)

    def step(self, call: List, page: Rows, now: float) -> "Horizon":
        """The horizon after a page, read for whatever purpose; itself when the page shows nothing new."""
        if call.status is not None:
            return self
        if not page.rows and call.offset == 0:
            return self._done(self.seen_to, now)
        if not self._joins(call, page):
            return self._back(call)
        return self._on(call, page, now)

    def _joins(self, call: List, page: Rows) -> bool:
        """Whether no request can be missing between this page and those read before.

        Equal times prove nothing: requests asked in one second may be more than a page shows.
        """
        if call.offset == 0:
            return True
        if self.descent is None or not page.rows:
            return False
        return page.rows[0].created_at > self.descent.last or any(row.id == self.descent.last_id for row in page.rows)

    def _back(self, call: List) -> "Horizon":
        """By half a page, by twice as much each time, to where the pages meet."""
        if self.descent is None or call.offset != self.descent.offset:
            return self
        by = max(2 * self.descent.overlap, call.limit // 2, 1)
        torn = msgspec.structs.replace(self.descent, offset=max(0, call.offset - by), overlap=by)
        return msgspec.structs.replace(self, descent=torn)

    def _on(self, call: List, page: Rows, now: float) -> "Horizon":
        newest = self._newest(call, page)
        if page.rows[-1].created_at < self.seen_to or not page.more or self._at_end(call, page):
            return self._done(newest, now)
        descent = self.descent or NewestPages(offset=call.offset, newest=newest, last=math.inf, last_id="")
        return msgspec.structs.replace(self, descent=_onward(descent, call, page, newest))

    def _newest(self, call: List, page: Rows) -> float:
        """The first page of the list, read again, brings `newest` forward when it reaches down to it."""
        if self.descent is None:
            return page.rows[0].created_at
        reaches = call.offset == 0 and page.rows[-1].created_at < self.descent.newest - LATE
        return max(self.descent.newest, page.rows[0].created_at) if reaches else self.descent.newest

    def _at_end(self, call: List, page: Rows) -> bool:
        """A short page that shows nothing deeper is the last, even where HITL.sh does not say so."""
        if self.descent is None or len(page.rows) >= min(call.limit, max(2, self.descent.longest)):
            return False
        return page.rows[-1].created_at > self.descent.last or page.rows[-1].id == self.descent.last_id

    def _done(self, newest: float, now: float) -> "Horizon":
        seen_to = max(self.seen_to, newest - LATE)
        return Horizon(since=self.since, seen_to=seen_to, discovered_at=now)


def _onward(descent: NewestPages, call: List, page: Rows, newest: float) -> NewestPages:
    """Go on from the end of this page, where that is deeper or the page was the next one."""
    bottom, own = page.rows[-1], call.offset == descent.offset
    deeper = bottom.created_at <= descent.last
    overlap = min(descent.overlap, max(1, call.limit // 2))
    offset = call.offset + len(page.rows) - min(overlap, len(page.rows) // 2)
    return NewestPages(
        offset=offset if own or deeper else descent.offset,
        newest=newest,
        last=bottom.created_at if deeper else descent.last,
        last_id=bottom.id if deeper else descent.last_id,
        overlap=overlap,
        longest=max(descent.longest, len(page.rows)),
    )


def fresh(now: float, lookback: float) -> Horizon:
    """Before the first discovery: nothing that ended before the lookback is delivered."""
    return Horizon(since=now - lookback, seen_to=now - lookback)


def wanted(row: Row, horizon: Horizon, oldest: float, decided_at: float | None = None) -> bool:
    """Whether an untracked ended request is delivered; `oldest`: records of what ended before have expired."""
    return (row.created_at if decided_at is None else decided_at) >= max(horizon.since, oldest)
