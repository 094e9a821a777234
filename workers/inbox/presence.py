"""Which processes are running: each announces itself once a second."""

from typing import Literal

from redis import Redis

from workers.inbox import keys, scripts

Process = Literal["clock", "web"]

#: Milliseconds without an announcement after which a process counts as absent.
PRESENT = 10_000


def announce(redis: Redis, process: Process) -> None:
    """Record that a process of this kind is running; works while Redis is full."""
    scripts.script(redis, "alarms/announce")(keys=[keys.PREFIX], args=[process, PRESENT])


def is_present(redis: Redis, process: Process) -> bool:
    """Whether a process of this kind is running."""
    return redis.exists(keys.present(process)) == 1
