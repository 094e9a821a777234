"""The ledger: every request known, how it was learned, and when it is next worth a call to HITL.sh."""

from typing import Any, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from workers.inbox import keys, scripts
from workers.inbox.inbox import LONGEST_ID, LONGEST_REQUEST, Callback
from workers.sweeps.progress import Learned

_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was made; times in seconds since 1970."""

    request_id: str
    learned: Learned = "asked"
    created_at: float
    timeout_at: float | None = None
    #: Of our own callback URL that HITL.sh was given: no other request may use it from now on.
    callback: Callback | None = None
    #: What HITL.sh assumes when nobody answers; its lists do not repeat it. None for not known.
    default_response: Any = None


def learn(redis: Redis, asked: Asked) -> bool:
    """Keep it; answers whether it was not known before. May be repeated."""
    return scripts.script(redis, "learn")(keys=[keys.PREFIX], args=_words(asked)) == 1


async def alearn(redis: AsyncRedis, asked: Asked) -> bool:
    """`learn`, awaited."""
    return cast("int", await scripts.async_script(redis, "learn")(keys=[keys.PREFIX], args=_words(asked))) == 1


def _words(asked: Asked) -> list[str | bytes]:
    if len(asked.request_id) > LONGEST_ID:
        raise ValueError(f"a request id of {len(asked.request_id)} characters: HITL.sh's have 24")
    callback = asked.callback
    return [
        str(LONGEST_REQUEST),
        asked.request_id,
        asked.learned,
        f"{asked.created_at:.6f}",
        "" if asked.timeout_at is None else f"{asked.timeout_at:.6f}",
        "" if callback is None else _encode(callback),
        "" if callback is None else callback.id or "",
        "" if asked.default_response is None else _encode(asked.default_response),
    ]
