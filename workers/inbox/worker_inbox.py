"""The inbox as the workers use it: claims of what is due, renewals of leases, and reports of how work ended."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

from hitlsh.callbacks import CallbackState
from hitlsh.event_json import decode_event
from hitlsh.events import Trust
from hitlsh.trace_context import valid_traceparent
from workers.completion import NOTHING_KNOWN, KnownDetails
from workers.decision import StoredEvent
from workers.inbox import keys, metric_counts, scripts
from workers.inbox.claims import Claim, ClaimedItem, Lease, UndecodableItem, fencing_token
from workers.inbox.settlements import Report, report_fields
from workers.inbox.store import NO_COUNTS, Inbox, encode_frame
from workers.inbox.values import parse_time

#: Once its items have this many bytes, a claim takes no further one: it is one answer of the server.
CLAIM_BYTES = 8 << 20
#: Characters of what is wrong with a record that cannot be decoded.
LONGEST_REASON = 500

NO_CAPS: Mapping[str, int] = MappingProxyType({})
Caller: TypeAlias = Literal["busy", "idle", "suspect"]

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


class WorkerInbox(Inbox):
    """The inbox with claims and reports."""

    def __init__(self, redis: AsyncRedis, *, retention: int, lease: float) -> None:
        """`retention`: seconds that finished work is kept. `lease`: seconds that a claim holds."""
        super().__init__(redis, retention=retention)
        self._lease = str(int(lease * 1000))
        #: By claimant: how many of its claims were answered, as far as we know.
        self._answered_claims: Counter[str] = Counter()
        self._claim = scripts.async_script(redis, "store/claim")
        self._report = scripts.async_script(redis, "store/report")
        self._resume = scripts.async_script(redis, "store/resume_effects")

    async def claim(
        self, limit: int, *, caller: Caller = "idle", caps: Mapping[str, int] = NO_CAPS, claimant: str = "",
        max_bytes: int = CLAIM_BYTES,
    ) -> Claim:  # fmt: skip
        """Lease up to `limit` due items to the caller.

        `caller`: ``idle`` if it holds nothing; items that a worker died with go only to an idle caller, one at a time.
        `caps`: how many of a handler's effects may run at once, across all workers. `claimant`: an id of the caller; a
        claim of the same claimant whose answer was lost is answered again.
        `max_bytes`: the item that reaches this many bytes of evidence is the last.
        """
        arguments = self._claim_arguments(limit, caller, caps, claimant, max_bytes)
        return self._count_answer(await self._claim(keys=[keys.PREFIX], args=arguments), claimant)

    async def claim_when_woken(
        self, limit: int, seconds: float, *, caller: Caller = "idle", caps: Mapping[str, int] = NO_CAPS,
        claimant: str = "", max_bytes: int = CLAIM_BYTES,
    ) -> Claim:  # fmt: skip
        """`claim`, as soon as something new is due, or after `seconds`.

        One round trip: the server runs the claim when it wakes this connection.
        """
        arguments = self._claim_arguments(limit, caller, caps, claimant, max_bytes)
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.blpop([keys.WAKE], timeout=seconds)
            pipe.execute_command("EVALSHA", self._claim.sha, 1, keys.PREFIX, *arguments)
            _, reply = await pipe.execute(raise_on_error=False)
        if isinstance(reply, NoScriptError):
            return await self.claim(limit, caller=caller, caps=caps, claimant=claimant, max_bytes=max_bytes)
        if isinstance(reply, Exception):
            raise reply
        return self._count_answer(reply, claimant)

    def _count_answer(self, reply: list[Any], claimant: str) -> Claim:
        """Parse a claim and count it as answered; a claim whose answer was lost is answered again."""
        claim = _parse_claim(reply)
        self._answered_claims[claimant] += 1
        return claim

    def _claim_arguments(
        self, limit: int, caller: Caller, caps: Mapping[str, int], claimant: str, max_bytes: int
    ) -> list[str | int]:
        pairs = [word for pair in caps.items() for word in pair]
        identity = (claimant, self._answered_claims[claimant])
        max_bytes = min(max_bytes, CLAIM_BYTES)
        return [limit, self._lease, max_bytes, caller, self._retention, *identity, fencing_token(), *pairs]

    async def report(self, reports: Iterable[Report]) -> list[bool]:
        """Record settlements; returns False for each report whose lease had passed to another worker."""
        batch = encode_frame(report_fields(reports))
        answers = await self._report(keys=[keys.PREFIX], args=[self._retention, self._lease, batch])
        return [answer == 1 for answer in answers]

    async def resume(self, handlers: Iterable[str], *, limit: int, caps: Mapping[str, int] = NO_CAPS, cursor: int = 0
    ) -> ResumeSlice:  # fmt: skip
        """Make effects of these handlers that were held or paused due again: one slice.

        The slice ends when `limit` items are due. `caps`: as for `claim`. `cursor`: from the slice before, 0 at first.
        """
        pairs = [word for handler in handlers for word in (handler, caps.get(handler, 0))]
        return ResumeSlice(*await self._resume(keys=[keys.PREFIX], args=[limit, cursor, *pairs]))

    async def resumes(self) -> frozenset[bytes]:
        """Ids of the resumes that a person asked for and that drains have not finished."""
        return frozenset(cast("set[bytes]", await self.redis.smembers(keys.RESUMES)))

    async def end_resumes(self, resumes: Iterable[bytes]) -> None:
        """Forget these resumes: their effects are due again."""
        await self.redis.srem(keys.RESUMES, *resumes)

    async def announce(
        self, drain: str, seconds: float, *, handlers: Iterable[str] = (), increments: Mapping[str, int] = NO_COUNTS
    ) -> None:
        """Record that this drain is resident for `seconds` more, and which handlers it has.

        Also keeps the inbox clock, and adds `increments` to the metrics.
        """
        now = await self.keep_clock()
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(keys.DRAINS, "-inf", int(now * 1000))
            pipe.zadd(keys.DRAINS, {drain: int((now + seconds) * 1000)})
            if names := dict.fromkeys(handlers, int(now * 1000)):
                pipe.zadd(keys.HANDLERS, names)
            metric_counts.add(pipe, increments)
            await pipe.execute()

    async def wake(self) -> None:
        """End the wait of the drain that has waited longest, or the next wait."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.WAKE, 1)
            pipe.ltrim(keys.WAKE, 0, 0)
            await pipe.execute()

    async def leave(self, drain: str) -> None:
        """Record that this drain is no longer resident."""
        await self.redis.zrem(keys.DRAINS, drain)


class LeaseKeeper:
    """Renews leases through a connection of its own, so that a busy event loop does not lose them."""

    def __init__(self, redis: Redis, *, lease: float) -> None:
        self._renew = scripts.script(redis, "store/renew_leases")
        self._lease = int(lease * 1000)

    def renew(self, held: Iterable[tuple[str, int]]) -> list[str]:
        """Lengthen these (member, token) leases; returns the members whose lease was lost."""
        arguments: list[str | int] = [self._lease]
        for pair in held:
            arguments += pair
        return [member.decode() for member in self._renew(keys=[keys.PREFIX], args=arguments)]


def _parse_claim(reply: list[Any]) -> Claim:
    token, now, following, suspects, paused, *rows = reply
    decoded = [_decode_row(int(token), row) for row in rows]
    return Claim(
        items=[item for item in decoded if isinstance(item, ClaimedItem)],
        undecodable=[item for item in decoded if isinstance(item, UndecodableItem)],
        next_due_in=None if following < 0 else (following - now) / 1000,
        suspects_wait=suspects == 1,
        paused=frozenset(filter(None, paused.decode().split(","))),
    )


def _decode_row(token: int, row: list[Any]) -> ClaimedItem | UndecodableItem:
    """Decode one item; a record of another version becomes an `UndecodableItem`, and does not fail the whole claim."""
    handler, key, *fields = row
    lease = Lease(handler=handler.decode(), event_key=key.decode(), token=token)
    try:
        return _decode_item(lease, fields)
    except Exception as error:  # noqa: BLE001 - whatever a broken record makes of the decoding
        _, errors, *_ = fields
        reason = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        return UndecodableItem(lease=lease, errors=errors, reason=reason)


def _decode_item(lease: Lease, fields: list[Any]) -> ClaimedItem:
    (
        attempt, errors, crashes, suspect, head, body, trust, received_at, callback, late, conflict, overrules, rivals,
        details, traceparent,
    ) = fields  # fmt: skip
    event = decode_event(head)
    if event.key != lease.event_key:  # a conflicting outcome is kept under a key of its own
        event = msgspec.structs.replace(event, key=lease.event_key)
    stored = StoredEvent(
        event=event,
        body=body,
        trust=cast("Trust", trust.decode()),
        received_at=parse_time(received_at),
        callback=_decode_callback(callback) if callback else None,
        known_details=decode_known(details) if details else NOTHING_KNOWN,
        late=late == 1,
        conflict=conflict == 1,
        overrules=overrules == 1,
        traceparent=valid_traceparent(traceparent),
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
