"""The durable record in Redis: what came, what is due, who holds it, how it ended.

The only way in and out of the layout that `workers.inbox.keys` describes. Everything that must not tear
is one Lua script; each of them may be sent again when its reply was lost.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

from hitlsh.event_json import decode_event, encode_event
from hitlsh.events import Event, Trust
from workers.completion import NO_DETAILS, NOTHING_KNOWN, CallbackState, KnownDetails, details_of
from workers.decision import StoredEvent
from workers.inbox import counters, keys, metric_counts, scripts
from workers.inbox.inbox_clock import Timekeeper
from workers.inbox.settlements import Report, report_words
from workers.inbox.values import (
    Claim,
    ClaimedItem,
    Delivery,
    Lease,
    UndecodableItem,
    Verdict,
    moment,
    stamp,
)

#: Characters of a request's id in a key; a longer one is hashed.
LONGEST_ID = 200
#: Once its items have this many bytes, a claim takes no further one: it is one answer of the server.
CLAIM_BYTES = 8 << 20
#: Characters of what is wrong with a record that cannot be decoded.
LONGEST_REASON = 500

NO_CAPS: Mapping[str, int] = MappingProxyType({})
NO_COUNTS: Mapping[str, int] = MappingProxyType({})
Caller = Literal["busy", "idle", "suspect"]

_encode_json = msgspec.json.Encoder().encode
#: What an event of these forms is about.
_SUBJECTS = {"make-workflow": "execution", "turn.resolved": "turn"}


_decode_callback = msgspec.json.Decoder(CallbackState).decode
#: What the request tracker knows of a request, as details.lua puts it together.
decode_known = msgspec.json.Decoder(KnownDetails).decode


class ResumeSlice(NamedTuple):
    """What one slice of a resume did."""

    #: How many effects became due.
    resumed: int
    #: Where the next slice begins.
    cursor: int
    #: There is no next slice.
    is_over: int


class Inbox:
    """The inbox as the web process and the drain use it."""

    def __init__(self, redis: AsyncRedis, *, retention: int, lease: float) -> None:
        """`retention`: seconds that finished work is kept. `lease`: seconds that a claim holds."""
        self.redis = redis
        self._retention = str(retention)
        self._request_life = str(keys.LONGEST_REQUEST + retention)
        self._lease = str(int(lease * 1000))
        #: By claimant: how many of its claims were answered, as far as we know.
        self._claims_heard: Counter[str] = Counter()
        self._timekeeper = Timekeeper()
        self._accept = scripts.async_script(redis, "store/accept")
        self._claim = scripts.async_script(redis, "store/claim")
        self._report = scripts.async_script(redis, "store/report")
        self._resume = scripts.async_script(redis, "store/resume_effects")
        self._refused = scripts.async_script(redis, "store/expedite_checks")

    async def accept(self, deliveries: Sequence[Delivery]) -> tuple[list[Verdict], int]:
        """Keep a batch, atomically. Answers a verdict for each, and how many drains are resident."""
        batch = pack(deliveries)
        drains, *verdicts = await self._accept(keys=[keys.PREFIX], args=[self._retention, self._request_life, batch])
        return [cast("Verdict", verdict.decode()) for verdict in verdicts], drains

    async def claim(
        self, most: int, *, caller: Caller = "idle", caps: Mapping[str, int] = NO_CAPS, claimant: str = "",
        most_bytes: int = CLAIM_BYTES,
    ) -> Claim:  # fmt: skip
        """Lease up to `most` due items to the caller.

        `caller`: whether it has something in hand; what a worker died with is only given to one that has
        nothing, alone. `caps`: how many of a handler's effects may run at once, across all workers.
        `claimant`: who makes one claim after the other, so that one whose answer was lost is answered again.
        `most_bytes`: the item that reaches this many bytes of evidence is the last.
        """
        words = self._claim_words(most, caller, caps, claimant, most_bytes)
        return self._heard(await self._claim(keys=[keys.PREFIX], args=words), claimant)

    async def claim_when_woken(
        self, most: int, seconds: float, *, caller: Caller = "idle", caps: Mapping[str, int] = NO_CAPS,
        claimant: str = "", most_bytes: int = CLAIM_BYTES,
    ) -> Claim:  # fmt: skip
        """The same, as soon as something new is due, or after `seconds`.

        One round trip: the server runs the claim in the moment in which it wakes this connection.
        """
        words = self._claim_words(most, caller, caps, claimant, most_bytes)
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.blpop([keys.WAKE], timeout=seconds)
            pipe.execute_command("EVALSHA", self._claim.sha, 1, keys.PREFIX, *words)
            _, reply = await pipe.execute(raise_on_error=False)
        if isinstance(reply, NoScriptError):
            return await self.claim(most, caller=caller, caps=caps, claimant=claimant, most_bytes=most_bytes)
        if isinstance(reply, Exception):
            raise reply
        return self._heard(reply, claimant)

    def _heard(self, reply: list[Any], claimant: str) -> Claim:
        """Until then, the same claim would be answered again: an answer that is lost costs nothing."""
        claim = _claimed(reply)
        self._claims_heard[claimant] += 1
        return claim

    def _claim_words(
        self, most: int, caller: Caller, caps: Mapping[str, int], claimant: str, most_bytes: int
    ) -> list[str | int]:
        pairs = [word for pair in caps.items() for word in pair]
        known_as = (claimant, self._claims_heard[claimant])
        most_bytes = min(most_bytes, CLAIM_BYTES)
        return [most, self._lease, most_bytes, caller, self._retention, *known_as, fencing_token(), *pairs]

    async def report(self, reports: Iterable[Report]) -> list[bool]:
        """Record what was done; False for a report whose lease had passed to another worker."""
        batch = frame(report_words(reports))
        answers = await self._report(keys=[keys.PREFIX], args=[self._retention, self._lease, batch])
        return [answer == 1 for answer in answers]

    async def resume(self, handlers: Iterable[str], *, most: int, caps: Mapping[str, int] = NO_CAPS, cursor: int = 0
    ) -> ResumeSlice:  # fmt: skip
        """Make effects that were held for want of these handlers, or while they were paused, due again: one slice.

        Until no more than `most` items are due now. `caps`: as for a claim. `cursor`: of the slice before.
        """
        pairs = [word for handler in handlers for word in (handler, caps.get(handler, 0))]
        return ResumeSlice(*await self._resume(keys=[keys.PREFIX], args=[most, cursor, *pairs]))

    async def resumes(self) -> frozenset[bytes]:
        """The resumes that a person asked for and that are not known to be over."""
        return frozenset(cast("set[bytes]", await self.redis.smembers(keys.RESUMES)))

    async def end_resumes(self, resumes: Iterable[bytes]) -> None:
        """What these asked for is due again, as far as a drain has its handlers."""
        await self.redis.srem(keys.RESUMES, *resumes)

    async def refused(self, request_ids: Collection[str]) -> int:
        """Deliveries that name these requests were refused: those known to be open are worth a call now.

        Each once in a while only, since anybody can knock. Answers how many became due.
        """
        return cast("int", await self._refused(keys=[keys.PREFIX], args=list(request_ids)))

    async def announce(self, drain: str, seconds: float, increments: Mapping[str, int] = NO_COUNTS) -> None:
        """Say that this drain is resident for `seconds` more. Keeps the inbox clock, and adds to the metrics."""
        now = await self.keep_clock()
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(keys.DRAINS, "-inf", int(now * 1000))
            pipe.zadd(keys.DRAINS, {drain: int((now + seconds) * 1000)})
            metric_counts.add(pipe, increments)
            await pipe.execute()

    async def keep_clock(self) -> float:
        """Keep the inbox clock, once a second. Answers it, in seconds since 1970."""
        return await self._timekeeper.akeep(self.redis)

    async def memory_usage(self) -> tuple[int, int]:
        """Bytes that the server uses, and its `maxmemory` (0: no limit)."""
        memory = await self.redis.info("memory")
        return int(memory["used_memory"]), int(memory.get("maxmemory", 0))

    async def leave(self, drain: str) -> None:
        """Say that this drain is resident no more."""
        await self.redis.zrem(keys.DRAINS, drain)

    async def count(self, counts: Mapping[str, int], increments: Mapping[str, int] = NO_COUNTS) -> None:
        """Add to the counters of deliveries by reason, and to the metrics."""
        async with self.redis.pipeline(transaction=False) as pipe:
            counters.add(pipe, counts)
            metric_counts.add(pipe, increments)
            await pipe.execute()


class LeaseKeeper:
    """Renews leases through a connection of its own, so that a busy event loop does not lose them."""

    def __init__(self, redis: Redis, *, lease: float) -> None:
        self._renew = scripts.script(redis, "store/renew_leases")
        self._lease = int(lease * 1000)

    def renew(self, held: Iterable[tuple[str, int]]) -> list[str]:
        """Lengthen these (member, token) leases; answers the members that were lost."""
        words: list[str | int] = [self._lease]
        for pair in held:
            words += pair
        return [member.decode() for member in self._renew(keys=[keys.PREFIX], args=words)]


def fencing_token() -> int:
    """A token that nobody had before. It has no order, because a failover may repeat a counter."""
    return secrets.randbelow(2**63 - 1) + 1


def accept(
    redis: Redis,
    deliveries: Iterable[Delivery],
    *,
    retention: int,
    key_hash: str | None = None,
    unlimited: bool = False,
) -> list[Verdict]:
    """Keep a batch, atomically, as `Inbox.accept` does, for whoever has no event loop.

    `key_hash`: of the API key with which it was read. `unlimited`: no quota counts, because a person asked for it.
    """
    words: list[int | bytes | str] = [retention, keys.LONGEST_REQUEST + retention, pack(deliveries)]
    if unlimited:
        words.append("unlimited")
    _, *verdicts = cast("list[Any]", scripts.script(redis, "store/accept")(keys=keys.script_keys(key_hash), args=words))
    return [cast("Verdict", verdict.decode()) for verdict in verdicts]


def pack(deliveries: Iterable[Delivery]) -> bytes:
    """A batch as accept.lua reads it."""
    return frame(word for delivery in deliveries for word in _words(delivery))


def frame(words: Iterable[str | bytes]) -> bytes:
    """Words with their lengths, as one argument: a command of thousands of arguments is slow to pack."""
    parts: list[bytes] = []
    for word in words:
        raw = word if isinstance(word, bytes) else word.encode(errors="backslashreplace")
        parts.append(len(raw).to_bytes(4, "big"))
        parts.append(raw)
    return b"".join(parts)


def _words(delivery: Delivery) -> tuple[str | bytes, ...]:
    content = delivery.content
    arrived = (
        delivery.body,
        delivery.trust,
        stamp(delivery.received_at),
        _callback(delivery),
        delivery.callback_id or "",
    )
    if not isinstance(content, Event):
        return ("unreadable", content.key, "", "", "", "", "", "", "", _encode_json(content), *arrived, *[""] * 5)
    return (
        "event",
        content.key,
        _bounded(content.request_id or ""),
        content.outcome or "",
        content.status or "",
        f"{content.occurred_at.timestamp():017.6f}" if content.occurred_at else "",
        stamp(content.created_at) if content.created_at else "",
        stamp(content.timeout_at) if content.timeout_at else "",
        _fingerprint(content),
        encode_event(content),
        *arrived,
        _subject(content),
        *_details(delivery, content),
    )


def _details(delivery: Delivery, event: Event) -> tuple[str | bytes, ...]:
    """What it says was asked; nothing of what came by a callback URL, which vouches for its own event alone."""
    details = delivery.details or details_of(event)
    if delivery.trust == "callback" or not event.request_id or details == NO_DETAILS:
        return ("", "", "", "")
    loop_name = b"" if details.loop_name is None else _encode_json(details.loop_name)
    return (delivery.details_source, _encode_json(details), details.loop_id or "", loop_name)


def _fingerprint(event: Event) -> str:
    """What two pieces of evidence of one outcome are compared by; after ``~`` only with the same form of it."""
    if event.outcome is None or event.fingerprint is not None:
        return event.fingerprint or ""
    answer = _encode_json([event.variant, event.response, event.labels])
    return f"~{hashlib.blake2b(answer, digest_size=8).hexdigest()}"


def _subject(event: Event) -> str:
    """What an event is about that names no request: one execution or turn, as ``turn:<id>``."""
    kind = _SUBJECTS.get(event.variant)
    if event.request_id or kind is None:
        return ""
    return f"{kind}:{event.key.split(':')[1]}"


def _bounded(request_id: str) -> str:
    """An id that may stand in a key, whatever a sender calls a request."""
    fits = len(request_id) <= LONGEST_ID and request_id != "*" and not any(map(str.isspace, request_id))
    return request_id if fits else hashlib.sha256(request_id.encode(errors="surrogatepass")).hexdigest()


def _callback(delivery: Delivery) -> bytes:
    if delivery.callback_id is None:
        return b""
    return _encode_json(CallbackState(id=delivery.callback_id, state=delivery.state))


def _claimed(reply: list[Any]) -> Claim:
    token, now, following, suspects, paused, *rows = reply
    decoded = [_decoded(int(token), row) for row in rows]
    return Claim(
        items=[item for item in decoded if isinstance(item, ClaimedItem)],
        undecodable=[item for item in decoded if isinstance(item, UndecodableItem)],
        next_due_in=None if following < 0 else (following - now) / 1000,
        suspects_wait=suspects == 1,
        paused=frozenset(filter(None, paused.decode().split(","))),
    )


def _decoded(token: int, row: list[Any]) -> ClaimedItem | UndecodableItem:
    """One record must not take the others of its claim with it: another version may have written it."""
    handler, key, *fields = row
    lease = Lease(handler=handler.decode(), event_key=key.decode(), token=token)
    try:
        return _item(lease, fields)
    except Exception as error:  # noqa: BLE001 - whatever a broken record makes of the decoding
        _, errors, *_ = fields
        reason = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        return UndecodableItem(lease=lease, errors=errors, reason=reason)


def _item(lease: Lease, fields: list[Any]) -> ClaimedItem:
    (
        attempt, errors, crashes, suspect, head, body, trust, received_at, callback, late, conflict, overrules, rivals,
        details,
    ) = fields  # fmt: skip
    event = decode_event(head)
    if event.key != lease.event_key:  # a conflicting outcome is kept under a key of its own
        event = msgspec.structs.replace(event, key=lease.event_key)
    stored = StoredEvent(
        event=event,
        body=body,
        trust=cast("Trust", trust.decode()),
        received_at=moment(received_at),
        callback=_decode_callback(callback) if callback else None,
        known=decode_known(details) if details else NOTHING_KNOWN,
        late=late == 1,
        conflict=conflict == 1,
        overrules=overrules == 1,
    )
    return ClaimedItem(
        lease=lease,
        stored=stored,
        attempt=attempt,
        errors=errors,
        crashes=crashes,
        is_suspect=suspect == 1,
        size=len(head) + len(body) + len(details),
        has_rivals=rivals == 1,
    )
