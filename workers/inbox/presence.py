"""Which processes are there: each announces itself once a second."""

from typing import Literal

from redis import Redis

from workers.inbox import keys, scripts

Process = Literal["clock", "web"]

#: Milliseconds without an announcement after which a process counts as absent.
PRESENT = 10_000


def announce(redis: Redis, process: Process) -> None:
    """Say that such a process is there; also while Redis is full."""
    scripts.script(redis, "alarms/announce")(keys=[keys.PREFIX], args=[process, PRESENT])


def is_present(redis: Redis, process: Process) -> bool:
    """Whether one has announced itself lately."""
    return redis.exists(keys.present(process)) == 1
