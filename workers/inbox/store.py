"""The inbox as the web process uses it: it stores what arrives, and needs nothing that reads it back.

`workers.inbox.worker_inbox` is the side of the workers. What must not tear is one Lua script; each script may be sent
again when its reply was lost.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.callbacks import CallbackState
from hitlsh.event_json import encode_event
from hitlsh.events import Event
from hitlsh.request_details import NO_DETAILS, details_of
from workers.inbox import counters, keys, metric_counts, scripts
from workers.inbox.alarms import recent_counts
from workers.inbox.inbox_clock import Timekeeper
from workers.inbox.presence import PRESENT
from workers.inbox.values import Delivery, Verdict, format_time

#: Characters of a request's id in a key; a longer one is hashed.
LONGEST_ID = 200
NO_COUNTS: Mapping[str, int] = MappingProxyType({})

_encode_json = msgspec.json.Encoder().encode
#: What an event of these payload forms is about.
_SUBJECTS = {"make-workflow": "execution", "turn.resolved": "turn"}


class Inbox:
    """Stores deliveries, and keeps the inbox clock."""

    def __init__(self, redis: AsyncRedis, *, retention: int) -> None:
        """`retention`: seconds that finished work is kept."""
        self.redis = redis
        self._retention = str(retention)
        self._request_life = str(keys.LONGEST_REQUEST + retention)
        self._timekeeper = Timekeeper()
        self._accept = scripts.async_script(redis, "store/accept")
        self._expedite_checks = scripts.async_script(redis, "store/expedite_checks")
        self._announce = scripts.async_script(redis, "alarms/announce")

    async def accept(self, deliveries: Sequence[Delivery]) -> tuple[list[Verdict], int]:
        """Store a batch atomically. Returns a verdict for each delivery, and how many drains are resident."""
        batch = pack(deliveries)
        drains, *verdicts = await self._accept(keys=[keys.PREFIX], args=[self._retention, self._request_life, batch])
        return [cast("Verdict", verdict.decode()) for verdict in verdicts], drains

    async def expedite_checks(self, request_ids: Collection[str]) -> int:
        """Make checks of these requests due, because deliveries that name them were refused.

        Only open tracked requests are checked, each once in five minutes: a stranger can send such deliveries. Returns
        how many checks became due.
        """
        return cast("int", await self._expedite_checks(keys=[keys.PREFIX], args=list(request_ids)))

    async def keep_clock(self) -> float:
        """Keep the inbox clock; call it once a second. Returns the clock in seconds since 1970."""
        return await self._timekeeper.akeep(self.redis)

    async def memory_usage(self) -> tuple[int, int]:
        """Bytes that the server uses, and its `maxmemory` (0: no limit)."""
        memory = await self.redis.info("memory")
        return int(memory["used_memory"]), int(memory.get("maxmemory", 0))

    async def count(self, counts: Mapping[str, int], increments: Mapping[str, int] = NO_COUNTS) -> None:
        """Add to the counters of deliveries by reason, and to the metrics."""
        async with self.redis.pipeline(transaction=False) as pipe:
            counters.add(pipe, counts)
            metric_counts.add(pipe, increments)
            await pipe.execute()

    async def count_recent(self, counts: Mapping[str, int]) -> None:
        """Add to the recent counts, which alarms read."""
        await recent_counts.add(self.redis, counts)

    async def announce_web(self) -> None:
        """Record that a web process is running."""
        await self._announce(keys=[keys.PREFIX], args=["web", PRESENT])


def accept(
    redis: Redis,
    deliveries: Iterable[Delivery],
    *,
    retention: int,
    key_hash: str | None = None,
    unlimited: bool = False,
) -> list[Verdict]:
    """`Inbox.accept` without an event loop.

    `key_hash`: hash of the API key that read these; None for webhooks. `unlimited`: ignore quotas, for an operator.
    """
    arguments: list[int | bytes | str] = [retention, keys.LONGEST_REQUEST + retention, pack(deliveries)]
    if unlimited:
        arguments.append("unlimited")
    _, *verdicts = cast(
        "list[Any]", scripts.script(redis, "store/accept")(keys=keys.script_keys(key_hash), args=arguments)
    )
    return [cast("Verdict", verdict.decode()) for verdict in verdicts]


def pack(deliveries: Iterable[Delivery]) -> bytes:
    """A batch as accept.lua reads it."""
    return encode_frame(field for delivery in deliveries for field in _delivery_fields(delivery))


def encode_frame(fields: Iterable[str | bytes]) -> bytes:
    """Join fields with their lengths into one script argument: thousands of arguments are slow to encode."""
    parts: list[bytes] = []
    for field in fields:
        raw = field if isinstance(field, bytes) else field.encode(errors="backslashreplace")
        parts.append(len(raw).to_bytes(4, "big"))
        parts.append(raw)
    return b"".join(parts)


def _delivery_fields(delivery: Delivery) -> tuple[str | bytes, ...]:
    content = delivery.content
    arrived = (
        delivery.body,
        delivery.trust,
        format_time(delivery.received_at),
        _callback(delivery),
        delivery.callback_id or "",
    )
    if not isinstance(content, Event):
        empty = ("",) * 7
        return ("unreadable", content.key, *empty, _encode_json(content), *arrived, *empty[2:], delivery.traceparent)
    return (
        "event",
        content.key,
        _bounded(content.request_id or ""),
        content.outcome or "",
        content.status or "",
        f"{content.occurred_at.timestamp():017.6f}" if content.occurred_at else "",
        format_time(content.created_at) if content.created_at else "",
        format_time(content.timeout_at) if content.timeout_at else "",
        _fingerprint(content),
        encode_event(content),
        *arrived,
        _subject(content),
        *_details(delivery, content),
        delivery.traceparent,
    )


def _details(delivery: Delivery, event: Event) -> tuple[str | bytes, ...]:
    """The details of the request; empty for a callback delivery, which is trusted for its own event only."""
    details = delivery.details or details_of(event)
    if delivery.trust == "callback" or not event.request_id or details == NO_DETAILS:
        return ("", "", "", "")
    loop_name = b"" if details.loop_name is None else _encode_json(details.loop_name)
    return (delivery.details_source, _encode_json(details), details.loop_id or "", loop_name)


def _fingerprint(event: Event) -> str:
    """A digest that equal answers share; one that begins with ``form:`` is compared within one payload form only."""
    if event.outcome is None or event.fingerprint is not None:
        return event.fingerprint or ""
    answer = _encode_json([event.variant, event.response, event.labels])
    return f"form:{hashlib.blake2b(answer, digest_size=8).hexdigest()}"


def _subject(event: Event) -> str:
    """What an event without a request is about: one execution or turn, as ``turn:<id>``."""
    kind = _SUBJECTS.get(event.variant)
    if event.request_id or kind is None:
        return ""
    return f"{kind}:{event.key.split(':')[1]}"


def _bounded(request_id: str) -> str:
    """The request id, or its hash if it cannot be part of a Redis key."""
    fits = len(request_id) <= LONGEST_ID and request_id != "*" and not any(map(str.isspace, request_id))
    return request_id if fits else hashlib.sha256(request_id.encode(errors="surrogatepass")).hexdigest()


def _callback(delivery: Delivery) -> bytes:
    if delivery.callback_id is None:
        return b""
    return _encode_json(CallbackState(id=delivery.callback_id, state=delivery.state))
