"""Questions in Redis: read, saved by compare-and-set, and listed."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from hitlsh.api.questions.new_question import WhenLimited
from hitlsh.events import Trust
from workers.errors import WorkersError
from workers.inbox import event_records, keys, request_records, scripts
from workers.inbox.event_records import EventRecord
from workers.inbox.questions.question_records import (
    QuestionRecord,
    StoredQuestion,
    encode_record,
    stored_question,
)
from workers.inbox.request_records import RequestRecord


class QueueFull(WorkersError):
    """The queue of questions that wait for calls is full."""


class QuestionUnreadable(WorkersError):
    """The record of a question cannot be read; another version may have written it."""

    def __init__(self, request_id: str, reason: str) -> None:
        super().__init__(request_id, reason)
        self.request_id = request_id
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.request_id} cannot be read ({self.reason}): does a newer version run elsewhere?"


class QuestionStore:
    """Runs every Redis command on questions."""

    def __init__(self, redis: AsyncRedis, *, retention: int, queue_limit: int) -> None:
        """`retention`: seconds that a question is kept after its end. `queue_limit`: how many may wait for calls."""
        self._redis = redis
        self._retention = retention
        self._queue_limit = queue_limit
        self._save = scripts.async_script(redis, "questions/save_question")
        self._join = scripts.async_script(redis, "questions/join_question")
        self._drop = scripts.async_script(redis, "questions/drop_question")
        self._claim = scripts.async_script(redis, "questions/claim_questions")
        self._schedule = scripts.async_script(redis, "questions/schedule_questions")
        self._demand = scripts.async_script(redis, "questions/demand_evidence")

    async def read(self, question_id: str) -> StoredQuestion | None:
        """The question; None if it does not exist or has expired."""
        [question] = await self.read_many([question_id])
        return question

    async def read_many(self, question_ids: Sequence[str]) -> list[StoredQuestion | None]:
        """These questions, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for question_id in question_ids:
                pipe.hgetall(keys.question(question_id))
            replies = cast("list[dict[bytes, bytes]]", await pipe.execute())
        return [stored_question(fields) for fields in replies]

    async def id_of_request(self, request_id: str) -> str | None:
        """The id of the question that a request of HITL.sh belongs to; None if it belongs to none."""
        reply = cast("bytes | None", await self._redis.hget(keys.request(request_id), "question"))
        return None if reply is None else reply.decode()

    async def save(
        self, record: QuestionRecord, revision: int, *, due_in: float | None = None, is_anew: bool = False
    ) -> StoredQuestion | None:
        """Save the record and link its requests, which are tracked. Raises `QueueFull`.

        Returns None if another process has saved it since `revision`, or a step that timed out now has another outcome.

        `due_in`: seconds until `claim` returns it; None for never. `is_anew`: it replaces one that had ended.
        """
        queue_score, is_ended = record.queue_score, record.ended is not None
        state = "asked_anew" if is_anew else "ended" if is_ended else "open"
        arguments: list[str | bytes | float] = [
            self._retention,
            record.id,
            revision,
            encode_record(record),
            state,
            f"{record.created_at:.6f}",
            "" if queue_score is None else f"{queue_score:.6f}",
            "" if due_in is None or is_ended else int(max(0.0, due_in) * 1000),
            self._queue_limit,
            record.question.trust,
            "" if record.unbound_since is None else f"{record.unbound_since:.6f}",
            " ".join(record.step.token_ids),
            *_links(record),
        ]
        verdict, *saved = cast("list[int]", await self._save(keys=[keys.PREFIX], args=arguments))
        if verdict == 1:
            return StoredQuestion(record=record, revision=saved[0], version=saved[1])
        if verdict == -1:
            raise QueueFull
        # The reply to this very save may have been lost, and the save repeated.
        current = await self.read(record.id)
        is_own = current is not None and current.revision == revision + 1 and current.record == record
        return current if is_own else None

    async def join(self, question_id: str, when_limited: WhenLimited) -> bool:
        """Keep it for one more sender, even if it is refused; returns whether it is still stored."""
        return bool(await self._join(keys=[keys.PREFIX], args=[question_id, when_limited]))

    async def drop(self, stored: StoredQuestion) -> WhenLimited | None:
        """Delete a question that was not asked, unless another process has changed or joined it.

        If others have joined it, it is kept, and `drop` returns how they want it to be asked.
        """
        reply = await self._drop(keys=[keys.PREFIX], args=[stored.record.id, stored.revision])
        joined = cast("bytes", reply).decode()
        return cast("WhenLimited", joined) if joined else None

    async def claim(self, *, lease: float, limit: int = 50, question_id: str = "") -> list[str]:
        """Ids of due questions, at most `limit`; no other claim returns them for `lease` seconds."""
        reply = await self._claim(keys=[keys.PREFIX], args=[int(lease * 1000), limit, question_id])
        return [name.decode() for name in cast("list[bytes]", reply)]

    async def schedule(self, question_id: str, due_in: float | None) -> None:
        """Set when a claimed question is next due: in `due_in` seconds, or never; no effect if it is due already."""
        delay = "" if due_in is None else int(due_in * 1000)
        await self._schedule(keys=[keys.PREFIX], args=[question_id, delay])

    async def postpone_queued(self, seconds: float) -> None:
        """Postpone every question that waits for calls by `seconds`."""
        await self._schedule(keys=[keys.PREFIX], args=["", int(seconds * 1000)])

    async def demand_evidence(self, request_id: str, trust: Trust) -> None:
        """Have a reconcile run read the request if its outcome has less trust than this."""
        await self._demand(keys=[keys.PREFIX], args=[request_id, trust])

    async def list_open(self, *, limit: int, after: str | None) -> list[str]:
        """Ids of questions without an outcome, oldest first; `after`: the last id of the previous page."""
        start = 0 if after is None else await self._rank_after(after)
        ids = cast("list[bytes]", await self._redis.zrange(keys.QUESTIONS_OPEN, start, start + limit - 1))
        return [name.decode() for name in ids]

    async def _rank_after(self, question_id: str) -> int:
        """The rank after a question in the open questions, also if it has ended since it was listed."""
        rank = cast("int | None", await self._redis.zrank(keys.QUESTIONS_OPEN, question_id))
        if rank is not None:
            return rank + 1
        ended = await self.read(question_id)
        if ended is None:
            return 0
        return await self._redis.zcount(keys.QUESTIONS_OPEN, "-inf", f"({ended.record.created_at:.6f}")

    async def count_queued(self) -> int:
        """How many questions wait for calls."""
        return await self._redis.zcard(keys.QUESTIONS_QUEUED)

    async def read_requests(self, request_ids: Sequence[str]) -> dict[str, RequestRecord]:
        """The records of these requests of HITL.sh; expired ones are left out."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for request_id in request_ids:
                pipe.hgetall(keys.request(request_id))
            replies = cast("list[dict[bytes, bytes]]", await pipe.execute())
        return {
            name: request_records.whole_record(fields)
            for name, fields in zip(request_ids, replies, strict=True)
            if fields
        }

    async def read_events(self, event_keys: Sequence[str]) -> dict[str, EventRecord]:
        """The records of these events; expired ones are left out."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in event_keys:
                pipe.hgetall(keys.event(key))
            replies = cast("list[dict[bytes, bytes]]", await pipe.execute())
        records: dict[str, EventRecord] = {}
        for key, reply in zip(event_keys, replies, strict=True):
            fields = {field.decode(): value for field, value in reply.items()}
            if event_records.is_complete(fields):
                records[key] = event_records.record(key, fields)
        return records

    async def subscribe(self) -> "QuestionChanges":
        """Receive the ids of questions that change from now on."""
        pubsub = self._redis.pubsub()
        await pubsub.subscribe(keys.QUESTION_CHANGES)
        return QuestionChanges(pubsub)


def _links(record: QuestionRecord) -> Iterator[str]:
    """The id of each request of the question, followed by what its timeout means."""
    for number, step in enumerate(record.steps):
        if step.request_id is not None:
            yield step.request_id
            yield "superseded" if number < record.current else "escalates" if number < len(record.steps) - 1 else "last"


class QuestionChange(msgspec.Struct, frozen=True, kw_only=True):
    """A question has changed: read it again."""

    id: str
    #: 0 if the question was deleted.
    version: int


class QuestionChanges:
    """One subscription for all questions. A message may be lost: the record is the truth."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._is_confirmed = False

    async def next_change(self, *, seconds: float) -> QuestionChange | None:
        """Wait for the next change; None if there is none within `seconds`.

        Raises redis-py's errors during and after an interruption of the connection: messages may have been lost.
        """
        ends_at = time.monotonic() + seconds
        while True:
            message = await self._pubsub.get_message(timeout=max(0.0, ends_at - time.monotonic()))
            if message is not None and message["type"] == "message":
                question_id, _, version = message["data"].decode().partition(" ")
                return QuestionChange(id=question_id, version=int(version or 0))
            if message is not None and message["type"] == "subscribe":
                self._confirm()
            elif time.monotonic() >= ends_at:
                return None

    def _confirm(self) -> None:
        # The client reconnects and subscribes again by itself; this message is the only sign.
        if self._is_confirmed:
            raise RedisConnectionError("the subscription was interrupted")
        self._is_confirmed = True

    async def close(self) -> None:
        """Unsubscribe, and close the connection."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
