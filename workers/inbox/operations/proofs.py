"""Proofs of `doctor --prove`: what test deliveries came to, in a record of their own that expires.

A record is begun by whoever wants the proof, over a connection to Redis of its own. A web process only adds to a
record that is there: one that is connected to another Redis finds none, and a test delivery that is repeated later
changes nothing.
"""

from collections.abc import Mapping
from typing import cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts

#: Seconds after which a record expires, whatever becomes of whoever began it.
LIFE = 300
_BEGUN = b"begun"
_TIMES = b":times"


def begin(redis: Redis, nonce: str) -> None:
    """Begin the record of one proof. `nonce`: random."""
    with redis.pipeline() as pipe:
        pipe.hset(keys.proof(nonce), _BEGUN, 1)
        pipe.expire(keys.proof(nonce), LIFE)
        pipe.execute()


async def record(redis: AsyncRedis, nonce: str, case: str, outcome: bytes) -> int:
    """Record the outcome of a test delivery; answers how often its case has come, 0 without a record."""
    script = scripts.async_script(redis, "operations/record_proof")
    return cast("int", await script(keys=[keys.proof(nonce)], args=[case, outcome]))


def read(redis: Redis, nonce: str) -> Mapping[str, tuple[bytes, int]]:
    """The latest outcome of each case, and how often the case has come."""
    fields = cast("dict[bytes, bytes]", redis.hgetall(keys.proof(nonce)))
    return {
        name.decode(): (outcome, int(fields.get(name + _TIMES, 0)))
        for name, outcome in fields.items()
        if name != _BEGUN and not name.endswith(_TIMES)
    }


def end(redis: Redis, nonce: str) -> None:
    """Delete the record: test deliveries that come later change nothing."""
    redis.delete(keys.proof(nonce))
