"""Time passing for the inbox, without anybody waiting and without touching the server's clock."""

from typing import cast

from redis import Redis

from workers.inbox import inbox_clock, keys

_ADVANCE = """
local clock, due, leases, drains = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
redis.call('HSET', clock, 'server', ARGV[1], 'inbox', ARGV[2], 'rate', 1)
redis.call('HDEL', clock, 'tick')
if ARGV[4] == '1' then
  for _, member in ipairs(redis.call('HKEYS', leases)) do redis.call('ZADD', due, 'XX', 'INCR', ARGV[3], member) end
  for _, drain in ipairs(redis.call('ZRANGE', drains, 0, -1)) do redis.call('ZINCRBY', drains, ARGV[3], drain) end
end
"""


def advance(redis: Redis, seconds: float, *, keep_leases: bool = False) -> None:
    """So many seconds pass for the inbox clock and for the expiry of our keys.

    Leases run out as they would, unless `keep_leases`: then they and the presence of drains have as long left as
    before, as if their holders had renewed them. Use that while workers run. Expiry goes key by key: nothing else
    should write meanwhile. A clock process or drain that runs lets the inbox clock go 10 % slower from then on.
    """
    clocks = inbox_clock.read(redis)
    later = int(seconds * inbox_clock.SECOND)
    words = (clocks.server, clocks.inbox + later, int(seconds * 1000), int(keep_leases))
    redis.register_script(_ADVANCE)(keys=[keys.CLOCK, keys.DUE, keys.LEASES, keys.DRAINS], args=words)
    for key in list(redis.scan_iter(f"{keys.PREFIX}*", count=1_000)):
        left = cast("int", redis.pttl(key))
        if left >= 0:
            # A time to live of nothing deletes the key.
            redis.pexpire(key, max(0, left - int(seconds * 1000)))
