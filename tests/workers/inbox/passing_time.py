"""Lets days pass at once: moves the inbox clock, and the server's expiry of keys with it."""

from redis import Redis

from workers.inbox import keys, scripts

DAY = 86_400


def pass_time(redis: Redis, seconds: float) -> None:
    """Move all times as if no process of ours had run for so long."""
    inbox, server, *_ = (int(text) for text in scripts.script(redis, "clock/read_clock")(keys=[keys.PREFIX])[:2])
    moved = int(seconds * 1e6)
    redis.delete(f"{keys.PREFIX}clock")
    clock = {"server": server, "inbox": inbox + moved, "rate": 1, "latest": inbox + moved}
    redis.hset(f"{keys.PREFIX}clock", mapping=clock)
    for name in redis.scan_iter(f"{keys.PREFIX}*", count=1000):
        left = redis.pttl(name)
        if 0 <= left <= seconds * 1000:
            redis.delete(name)
        elif left > 0:
            redis.pexpire(name, int(left - seconds * 1000))
