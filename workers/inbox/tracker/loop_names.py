"""The names of loops: few deliveries carry them, and requests never do."""

from redis import Redis

from workers.inbox import keys


def is_known(redis: Redis, loop_id: str) -> bool:
    """Whether a verified delivery or the API's list of loops has told the name of this loop."""
    return bool(redis.hexists(keys.LOOP_NAMES, loop_id))
