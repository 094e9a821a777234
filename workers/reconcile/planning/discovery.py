"""Discovery: finds untracked requests of this API key in the unfiltered newest-first listing. Pure.

A page shows all requests between its first and its last row. Discovery joins pages downwards until they reach the
horizon. If the list moved meanwhile (deleted loops), two pages may not overlap: then discovery steps back.
"""

import math

import msgspec

from workers.reconcile.planning.progress import List, Row, Rows

#: Seconds: a row appears in the list at most so long after its `created_at`.
LATE = 5.0
#: Rows that a page shares with the previous one; more after two pages did not overlap.
OVERLAP = 5
#: Number of intervals after which discovery precedes the checks of tracked requests.
STARVED_AFTER = 4.0


class NewestPages(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of discovery over several pages: all requests from `newest` down to `last` have been shown."""

    #: Where the next page begins.
    offset: int
    #: `created_at` of the first row of the first page.
    newest: float
    #: `created_at` and id of the last row.
    last: float
    last_id: str
    overlap: int = OVERLAP
    #: Rows on the longest page so far: a shorter page is the last.
    longest: int = 0


class Horizon(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The time up to which every request is tracked, and before which no outcome is delivered. Saved as JSON."""

    #: Outcomes decided before this time are never delivered.
    since: float
    #: Every request created at that second or before is tracked.
    seen_to: float
    #: When `seen_to` was last brought forward.
    discovered_at: float | None = None
    descent: NewestPages | None = None

    def due_at(self, interval: float) -> float:
        """When discovery is due: every `interval` seconds, and at once while it is unfinished."""
        if self.discovered_at is None or self.descent is not None:
            return 0.0
        return self.discovered_at + interval

    def is_starved(self, interval: float, now: float) -> bool:
        """Whether discovery is so late that it precedes the checks of tracked requests."""
        return self.discovered_at is None or self.discovered_at + STARVED_AFTER * interval <= now

    def next_call(self, page_size: int) -> List:
        """The next page to read; `page_size` is 2 or more."""
        return List(offset=0 if self.descent is None else self.descent.offset, limit=page_size)

    def step(self, call: List, page: Rows, now: float) -> "Horizon":
        """The horizon after a page that was read for any purpose; unchanged if the page shows nothing new."""
        if call.status is not None:
            return self
        if not page.rows and call.offset == 0:
            return self._finished(self.seen_to, now)
        if not self._joins(call, page):
            return self._step_back(call)
        return self._advance(call, page, now)

    def _joins(self, call: List, page: Rows) -> bool:
        """Whether no request can be missing between this page and those read before.

        Equal times prove nothing: requests asked in one second may be more than a page shows.
        """
        if call.offset == 0:
            return True
        if self.descent is None or not page.rows:
            return False
        return page.rows[0].created_at > self.descent.last or any(row.id == self.descent.last_id for row in page.rows)

    def _step_back(self, call: List) -> "Horizon":
        """Step back half a page, twice as far each time, until the pages overlap."""
        if self.descent is None or call.offset != self.descent.offset:
            return self
        rows = max(2 * self.descent.overlap, call.limit // 2, 1)
        stepped_back = msgspec.structs.replace(self.descent, offset=max(0, call.offset - rows), overlap=rows)
        return msgspec.structs.replace(self, descent=stepped_back)

    def _advance(self, call: List, page: Rows, now: float) -> "Horizon":
        newest = self._newest(call, page)
        if page.rows[-1].created_at < self.seen_to or not page.more or self._at_end(call, page):
            return self._finished(newest, now)
        descent = self.descent or NewestPages(offset=call.offset, newest=newest, last=math.inf, last_id="")
        return msgspec.structs.replace(self, descent=_extended(descent, call, page, newest))

    def _newest(self, call: List, page: Rows) -> float:
        """The first page of the list, read again, brings `newest` forward when it reaches down to it."""
        if self.descent is None:
            return page.rows[0].created_at
        reaches = call.offset == 0 and page.rows[-1].created_at < self.descent.newest - LATE
        return max(self.descent.newest, page.rows[0].created_at) if reaches else self.descent.newest

    def _at_end(self, call: List, page: Rows) -> bool:
        """Whether it is the last page: a short one that shows nothing deeper, even if HITL.sh does not say so."""
        if self.descent is None or len(page.rows) >= min(call.limit, max(2, self.descent.longest)):
            return False
        return page.rows[-1].created_at > self.descent.last or page.rows[-1].id == self.descent.last_id

    def _finished(self, newest: float, now: float) -> "Horizon":
        seen_to = max(self.seen_to, newest - LATE)
        return Horizon(since=self.since, seen_to=seen_to, discovered_at=now)


def _extended(descent: NewestPages, call: List, page: Rows, newest: float) -> NewestPages:
    """The progress after this page: from its end, if that is deeper or the page was the next one."""
    bottom, is_next_page = page.rows[-1], call.offset == descent.offset
    is_deeper = bottom.created_at <= descent.last
    overlap = min(descent.overlap, max(1, call.limit // 2))
    offset = call.offset + len(page.rows) - min(overlap, len(page.rows) // 2)
    return NewestPages(
        offset=offset if is_next_page or is_deeper else descent.offset,
        newest=newest,
        last=bottom.created_at if is_deeper else descent.last,
        last_id=bottom.id if is_deeper else descent.last_id,
        overlap=overlap,
        longest=max(descent.longest, len(page.rows)),
    )


def initial_horizon(now: float, lookback: float) -> Horizon:
    """The horizon before the first discovery: nothing that ended before the lookback is delivered."""
    return Horizon(since=now - lookback, seen_to=now - lookback)


def is_delivered(row: Row, horizon: Horizon, oldest: float, decided_at: float | None = None) -> bool:
    """Whether the outcome of an untracked request is delivered; `oldest`: earlier records have expired."""
    return (row.created_at if decided_at is None else decided_at) >= max(horizon.since, oldest)
