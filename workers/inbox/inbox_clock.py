"""The inbox clock: the one time of all scripts and of everything that reads times of the inbox.

A script sees two things: the server's clock (`TIME`), which an operator, NTP or a failover may set to another time,
and what is stored. So somebody outside measures how much time really passes, with the monotonic clock of its host.
Each web process, drain and clock process has a `Timekeeper` that does so once a second.

**A tick** is a pair that a timekeeper stores by compare-and-set: the server's clock and the inbox clock at one moment.
Between ticks a script adds what has passed on the server's clock since the latest one. It never goes back: each
script that writes stores the time that it used, and none uses an earlier one.

**The clock stands still** when the server's clock is before the latest tick, or more than two seconds after it.
The server's clock was set to another time, or nobody has made a tick: a script cannot tell which. The next tick can.

**A tick sets it right.** A timekeeper knows when the latest tick was made, by its own monotonic clock, to within the
time that a call takes (or a second, where another timekeeper made it). What the server's clock says beyond that is a
step, and is left out. One that has seen no tick before (it has just started) watches for two seconds: if nobody else
makes a tick, nobody measured what has passed, and the server's clock is believed, but never backwards. It believes
up to ten seconds at once, so that a restart of everything costs no time.

**Leases move along.** When a tick moves the clock on at once, leases and the presence of drains move with it. The
holder of a lease has as long to renew it as before, because nothing ran out while the clock stood still.

**The clock returns to the server's clock** by at most 10 % of the time that passes: 40 s in 7 minutes, an hour in 10
hours. A lease of 15 s lasts 13.6 s to 16.7 s meanwhile.

What happens when:

* *The clock process is dead.* Drains and web processes make the ticks. Without all of them nobody accepts or claims,
  so no lease needs to run out. The clock stands still, and moves on two seconds after the next of them has started.
* *The server restarts or is unreachable for minutes.* The clock stands still; then the first tick adds the minutes.
  Leases keep the time that they had left when the server went away.
* *An API key is used for the first time while the clock stands still.* The clock may be late by any time, and what
  was decided meanwhile would run. So the first use is recorded once the clock runs. What is asked is tracked at once.
* *A failover, to a replica whose clock differs.* A difference is a step. One of less than a fifth of a second cannot
  be told from a slow call: it passes. One that keeps the server's clock within two seconds of the latest tick also
  passes, until the next tick: leases of less than three seconds may run out.
* *The server's host is suspended.* Afterwards its clock is late, or right: in both cases time has passed by the
  monotonic clock of the others. *All hosts are suspended*, or the only one: monotonic clocks stop too, so that this is
  a step of the server's clock. What was running goes on with its lease.
* *A step while nothing of ours runs.* Nobody can tell it from time passing. Forward, it is believed;
  backward, the inbox clock goes on from where it was.
* *The server's expiry of keys* (`EXPIRE`) goes by the server's own clock, which no script can change. A step of
  30 days forward expires finished records at once. Unfinished events have no expiry.

To have the server's clock believed at once after a step forward, stop all processes for three seconds: then nobody
has measured what has passed, and the first to start again takes over the server's clock.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts

logger = logging.getLogger("hitl.clock")

SECOND = 1_000_000
#: As in shared/inbox_clock.lua: a server that is further from the latest tick may have been set to another time.
LONGEST_TICK = 2 * SECOND
#: Seconds for which a new timekeeper watches for somebody else's tick before it believes the server's clock.
WATCH = 2.0
#: Microseconds that the server's clock may be ahead of the latest tick to be believed without watching.
BELIEVED_ADVANCE = 10 * SECOND
#: What two clocks may differ by and still agree: NTP corrects small differences by running a clock up to 8 % faster.
TOLERANCE = SECOND // 5
#: How much faster or slower the inbox clock runs at the most, to return to the server's.
MAX_CORRECTION = 0.1
#: Microseconds of difference from which the correction runs at full speed, and below which there is none.
FULL_CORRECTION, TOLERATED_DIFFERENCE = SECOND, SECOND // 50


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The reply of read_clock.lua. Clocks are in microseconds since 1970."""

    inbox: int
    server: int
    #: The id of the latest tick, '' for none, and the two clocks at that moment.
    tick: str
    ticked_server: int
    ticked_inbox: int
    #: How fast the inbox clock has run since.
    rate: float

    @property
    def passed(self) -> int:
        """Since the latest tick, by the server's clock."""
        return self.server - self.ticked_server

    @property
    def is_stopped(self) -> bool:
        """The inbox clock waits for a tick."""
        return bool(self.tick) and not 0 <= self.passed <= LONGEST_TICK


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The two clocks at one moment, and how fast the inbox clock runs from then on."""

    server: int
    inbox: int
    rate: float
    #: By how much the server's clock was set to another time, in microseconds; 0 when it was not.
    step: int = 0


def next_tick(reading: Reading, shortest: float, longest: float) -> Tick:
    """The tick to store. `shortest`, `longest`: microseconds since the latest one, by a monotonic clock."""
    passed = _nearest(reading.passed, shortest, longest)
    if abs(reading.passed - passed) <= TOLERANCE:
        passed = max(0, reading.passed)
        step = 0
    else:
        step = reading.passed - passed
    inbox = max(reading.inbox, reading.ticked_inbox + math.floor(passed * reading.rate))
    if reading.is_stopped and math.isinf(longest):
        inbox = max(inbox, reading.server)  # nobody has measured anything
    return Tick(server=reading.server, inbox=inbox, rate=_rate(reading.server - inbox), step=step)


def _nearest(number: int, shortest: float, longest: float) -> int:
    return int(min(max(number, shortest), longest))


def _rate(behind: int) -> float:
    """How fast to run when the inbox clock is so far behind the server's."""
    if abs(behind) <= TOLERATED_DIFFERENCE:
        return 1.0
    return 1.0 + max(-MAX_CORRECTION, min(MAX_CORRECTION, MAX_CORRECTION * behind / FULL_CORRECTION))


class Timekeeper:
    """Makes ticks: call `keep` about once a second. Any number of timekeepers may run; one of them makes each tick."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        #: The latest tick that this timekeeper has seen, and between which moments of its own it was made.
        self._tick: str | None = None
        self._made_after = -math.inf
        self._made_before = math.inf
        self._read_at = -math.inf

    def keep(self, redis: Redis) -> float:
        """Make a tick if one is due. Returns the inbox clock in seconds since 1970."""
        sent = self._monotonic()
        reading = read(redis)
        tick = self._tick_to_make(reading, sent)
        if tick is None:
            return reading.inbox / SECOND
        name = _new_name()
        sent = self._monotonic()
        is_stored = scripts.script(redis, "clock/set_clock")(
            keys=[keys.PREFIX], args=_arguments(reading.tick, name, tick)
        )
        return self._record_result(tick, name, sent, is_stored=is_stored == 1)

    async def akeep(self, redis: AsyncRedis) -> float:
        """`keep` for asyncio."""
        sent = self._monotonic()
        reading = _read(await scripts.async_script(redis, "clock/read_clock")(keys=[keys.PREFIX]))
        tick = self._tick_to_make(reading, sent)
        if tick is None:
            return reading.inbox / SECOND
        name = _new_name()
        sent = self._monotonic()
        script = scripts.async_script(redis, "clock/set_clock")
        is_stored = await script(keys=[keys.PREFIX], args=_arguments(reading.tick, name, tick))
        return self._record_result(tick, name, sent, is_stored=is_stored == 1)

    def _tick_to_make(self, reading: Reading, sent: float) -> Tick | None:
        """Record what was read by a call that began at `sent`; returns the tick to make, if one is due."""
        received = self._monotonic()
        read_at, self._read_at = self._read_at, sent
        if reading.tick != self._tick:
            # Another timekeeper made it since the previous reading; before the first reading, at an unknown time.
            self._tick, self._made_after, self._made_before = reading.tick, read_at, received
            if reading.tick:
                return None
        is_believed = 0 <= reading.passed <= BELIEVED_ADVANCE or sent - self._made_before >= WATCH
        if math.isinf(self._made_after) and not is_believed:
            return None
        return next_tick(reading, max(0.0, sent - self._made_before) * SECOND, (received - self._made_after) * SECOND)

    def _record_result(self, tick: Tick, name: str, sent: float, *, is_stored: bool) -> float:
        """Record the result of the compare-and-set that began at `sent`."""
        if is_stored:
            # What the tick says was true when the server's clock was read, before this call.
            self._tick, self._made_after, self._made_before = name, self._read_at, sent
            if tick.step:
                logger.warning(
                    "clock.stepped seconds=%+.1f offset=%+.1f: the clock of the Redis server was set to another time; "
                    "the inbox clock goes on and returns to it slowly; see that NTP runs on its host",
                    tick.step / SECOND, (tick.inbox - tick.server) / SECOND,
                )  # fmt: skip
        return tick.inbox / SECOND


def now(redis: Redis) -> float:
    """The inbox clock in seconds since 1970."""
    return read(redis).inbox / SECOND


def read(redis: Redis) -> Reading:
    """The inbox clock, and what it is computed from."""
    return _read(scripts.script(redis, "clock/read_clock")(keys=[keys.PREFIX]))


def _read(reply: Any) -> Reading:
    inbox, server, tick, ticked_server, ticked_inbox, rate = (word.decode() for word in cast("list[bytes]", reply))
    return Reading(
        inbox=int(inbox),
        server=int(server),
        tick=tick,
        ticked_server=int(ticked_server),
        ticked_inbox=int(ticked_inbox),
        rate=float(rate),
    )


def _arguments(latest: str, name: str, tick: Tick) -> list[str | int]:
    return [latest, name, tick.server, tick.inbox, f"{tick.rate:.6f}"]


def _new_name() -> str:
    return secrets.token_hex(8)
