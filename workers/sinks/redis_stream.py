"""A Redis stream (https://redis.io/docs/latest/develop/data-types/streams/) for your own consumers."""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.decision import Decision
from workers.errors import NotDelivered, RouteInvalid
from workers.inbox import keys  # noqa: TID251 - to refuse a stream among the inbox's keys
from workers.redis_clients import drain_client
from workers.sinks.message import Message
from workers.sinks.per_loop import PerLoop

#: Seconds.
_TIMEOUT = 30.0


class RedisStream:
    """Adds each decision as an entry with `id` and `body` (docs/decision.schema.json).

    An entry may occur twice: consumers deduplicate by `id`. `url`: ``REDIS_URL`` by default, read when the first
    decision is sent. `maxlen`: approximate number of entries kept. Raises `RouteInvalid` for invalid arguments.
    """

    def __init__(self, stream: str, url: str | None = None, maxlen: int = 10_000) -> None:
        self._stream = _checked_stream(stream)
        self._maxlen = _checked_length(maxlen)
        self._clients = PerLoop(_opening(url), Redis.aclose)

    @property
    def name(self) -> str:
        """The default name of its route."""
        return f"stream-{self._stream}"

    def __repr__(self) -> str:
        return f"<RedisStream {self._stream}>"

    async def send(self, decision: Decision) -> None:
        """Add the decision to the stream; raises `NotDelivered` if the server does not accept it."""
        message = Message.of(decision, target=f"stream:{self._stream}")
        redis = await self._clients.get()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await redis.xadd(
                    self._stream, {"id": message.id, "body": message.body}, maxlen=self._maxlen, approximate=True
                )
        except (RedisError, TimeoutError) as error:
            raise NotDelivered(f"stream {self._stream}: {type(error).__name__}: {error}") from error


def _opening(url: Any) -> Callable[[], Redis]:
    if url is None:
        return lambda: drain_client(_url_from_env())
    if not isinstance(url, str) or urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        # The URL may hold a password: it is not repeated here.
        raise RouteInvalid("RedisStream(url=...) must begin with redis://, rediss:// or unix://")
    return lambda: drain_client(url)


def _url_from_env() -> str:
    url = os.environ.get("REDIS_URL", "").strip()
    if not url:
        raise NotDelivered("RedisStream: REDIS_URL is not set; set it, or give RedisStream(..., url='redis://…')")
    return url


def _checked_stream(stream: Any) -> str:
    if not isinstance(stream, str) or not stream:
        raise RouteInvalid(f"RedisStream({stream!r}): give the stream's key, such as 'decisions'")
    if stream.startswith(keys.PREFIX):
        raise RouteInvalid(f"RedisStream({stream!r}): keys that begin with {keys.PREFIX} are the inbox's own")
    return stream


def _checked_length(maxlen: Any) -> int:
    if isinstance(maxlen, bool) or not isinstance(maxlen, int) or maxlen < 1:
        raise RouteInvalid(f"RedisStream(maxlen={maxlen!r}): give a whole number of entries, 1 or more")
    return maxlen
