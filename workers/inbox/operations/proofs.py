"""Proofs of `doctor --prove`: the outcomes of test deliveries, in a record that expires.

The prover begins the record over its own connection to Redis. A web process only adds to an existing record: one that
is connected to another Redis finds none, and a test delivery that is repeated later changes nothing.
"""

from collections.abc import Mapping
from typing import cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts

#: Seconds after which a record expires, even if the prover dies.
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
    """Record the outcome of a test delivery; returns the number of deliveries of its case, 0 without a record."""
    script = scripts.async_script(redis, "operations/record_proof")
    return cast("int", await script(keys=[keys.proof(nonce)], args=[case, outcome]))


def read(redis: Redis, nonce: str) -> Mapping[str, tuple[bytes, int]]:
    """The latest outcome and the number of deliveries of each case."""
    fields = cast("dict[bytes, bytes]", redis.hgetall(keys.proof(nonce)))
    return {
        name.decode(): (outcome, int(fields.get(name + _TIMES, 0)))
        for name, outcome in fields.items()
        if name != _BEGUN and not name.endswith(_TIMES)
    }


def end(redis: Redis, nonce: str) -> None:
    """Delete the record: later test deliveries change nothing."""
    redis.delete(keys.proof(nonce))
