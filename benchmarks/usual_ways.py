"""The two usual ways to find decisions whose webhook was lost, and the base of all clients of a simulated day."""

from itertools import islice

from benchmarks.simulated_day import END, Day, Vendor
from workers.inbox.values import OpenRequest

TICK = 60.0


class Client:
    """A client that wants to learn of every decision."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.vendor = Vendor(day)
        self.learned: dict[int, float] = {}
        self.open: dict[int, OpenRequest] = {
            one: OpenRequest(
                id=str(one),
                created_at=day.created[one],
                timeout_at=day.timeout[one],
                last_checked=max(day.created[one], 0.0) if day.created[one] > 0 else 0.0,
            )
            for one in self.vendor.open
        }

    def run(self) -> None:
        now = 0.0
        while now < END:
            now += TICK
            asked, ended = self.vendor.advance(now)
            for one in asked:
                self.asked(one)
            for one in ended:
                if not self.day.lost[one]:
                    self.learn(one, by_webhook=True)
            if not self.day.down(now):
                self.poll()

    def asked(self, one: int) -> None:
        self.open[one] = OpenRequest(id=str(one), created_at=self.day.created[one], timeout_at=self.day.timeout[one])

    def learn(self, one: int, *, by_webhook: bool) -> None:
        if self.open.pop(one, None) is not None:
            self.learned[one] = self.day.ended[one] if by_webhook else self.vendor.now

    def poll(self) -> None:
        """Poll HITL.sh; called once a minute."""


class PollEach(Client):
    """GETs every open request each 30 seconds."""

    def poll(self) -> None:
        for _ in range(2):
            for one in tuple(islice(self.open, self.vendor.call(len(self.open)))):
                if self.day.ended[one] <= self.vendor.now:
                    self.learn(one, by_webhook=False)


class ListHourly(Client):
    """Reads the whole list each hour, 100 at a time."""

    def poll(self) -> None:
        if int(self.vendor.now / TICK) % 60 != 30:
            return
        offset, more = 0, True
        while more and self.vendor.call():
            page = self.vendor.page(offset, 100, None)
            for row in page.rows:
                if row.ended:
                    self.learn(int(row.id), by_webhook=False)
            offset, more = offset + 100, page.more
