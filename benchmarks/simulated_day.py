"""A simulated day of requests on a virtual clock, and a HITL.sh that lists requests and counts calls.

90 % are time-sensitive (an hour; answered after 8 minutes in the median), 10 % deferred (30 days; answered after 6
hours in the median, one in twenty never). Thirty earlier days are simulated too. Each request asked costs a call.
"""

from bisect import bisect_left, bisect_right
from random import Random

from workers.reconcile.planning.progress import Row, Rows

DAY, HOUR = 86_400.0, 3_600.0
HISTORY = 30 * DAY
#: Requests that end within the first day count; the run continues, so that the last of them can be found.
END = 2.1 * DAY


class Day:
    """When each request is created and ends, and what its webhook does; the same for every client."""

    def __init__(self, per_day: int, *, loss: float, outage: tuple[float, float] | None, seed: int = 7) -> None:
        chance = Random(seed)
        spacing = DAY / per_day
        count = int((HISTORY + END) / spacing)
        self.per_day = per_day
        self.limit = 100 if per_day <= 2_000 else 1_000
        self.outage = outage
        self.created = [(place + chance.random()) * spacing - HISTORY for place in range(count)]
        self.timeout = [made + (HOUR if chance.random() < 0.9 else 30 * DAY) for made in self.created]
        self.ended = [_end(made, timeout, chance) for made, timeout in zip(self.created, self.timeout, strict=True)]
        self.lost = [chance.random() < loss or self.down(ended) for ended in self.ended]
        self.by_end = sorted(range(count), key=self.ended.__getitem__)

    def down(self, moment: float) -> bool:
        """Whether our receiver is down."""
        return self.outage is not None and self.outage[0] <= moment < self.outage[1]

    def missed(self) -> list[int]:
        """The requests that ended in the day without a webhook."""
        return [one for one in self.by_end if 0 <= self.ended[one] < DAY and self.lost[one]]


def _end(made: float, timeout: float, chance: Random) -> float:
    if timeout - made < DAY:
        return min(timeout, made + chance.lognormvariate(0, 1.0) * 8 * 60)
    if chance.random() < 0.05:
        return timeout
    return min(timeout, made + chance.lognormvariate(0, 1.2) * 6 * HOUR)


class Vendor:
    """HITL.sh at a moment: open requests, pages of the list, and the calls of the current hour."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.now = 0.0
        self.calls = 0
        self.violations = 0
        self._hour = self._used = 0
        self._asked = bisect_left(day.created, 0.0)
        self._ends = bisect_left(day.by_end, 0.0, key=day.ended.__getitem__)
        self.open = [one for one in range(self._asked) if day.ended[one] > 0]

    def advance(self, to: float) -> tuple[list[int], list[int]]:
        """Let time pass; returns the requests that were asked and those that ended meanwhile. Asking costs calls."""
        day, asked_before, ends_before = self.day, self._asked, self._ends
        self._asked = bisect_right(day.created, to)
        for one in range(asked_before, self._asked):
            self.open.append(one)
            self._turn(day.created[one])
            self._used += 1
        self._ends = bisect_right(day.by_end, to, key=day.ended.__getitem__)
        ended = day.by_end[ends_before : self._ends]
        for one in ended:
            del self.open[bisect_left(self.open, one)]
        self.now = to
        self._turn(to)
        return list(range(asked_before, self._asked)), ended

    def _turn(self, moment: float) -> None:
        if int(moment // HOUR) != self._hour:
            self._hour, self._used = int(moment // HOUR), 0

    @property
    def remaining(self) -> int:
        return max(0, self.day.limit - self._used)

    @property
    def resets_at(self) -> float:
        return (self._hour + 1) * HOUR

    def call(self, times: int = 1) -> int:
        """Make so many calls; returns how many were not refused."""
        allowed = min(times, self.remaining)
        self._used += allowed
        self.calls += times
        self.violations += times - allowed
        return allowed

    def page(self, offset: int, limit: int, status: str | None) -> Rows:
        """A page of the list, newest first; `more` is False on the last one."""
        source = self.open if status == "pending" else range(self._asked)
        last = len(source) - 1 - offset
        chosen = [source[place] for place in range(last, max(-1, last - limit), -1)]
        return Rows(rows=tuple(self.row(one) for one in chosen), more=last - limit >= 0)

    def row(self, one: int) -> Row:
        return Row(id=str(one), created_at=self.day.created[one], ended=self.day.ended[one] <= self.now)

    def newer(self, one: int) -> int:
        return self._asked - 1 - one

    def ended_newer(self, one: int) -> int:
        """How many ended requests are newer: its place in a list of ended requests."""
        return self.newer(one) - (len(self.open) - bisect_right(self.open, one))
