"""Waits for changes of questions; any number of waits shares one Redis subscription."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis.exceptions import RedisError

from workers.asking.asking_service import AskingService
from workers.inbox.questions.question_store import QuestionChanges

logger = logging.getLogger("hitl.asking")

#: Seconds after which a wait reads its question again, because a message may be lost.
RECHECK_SECONDS = 30.0
#: Seconds until Redis is tried again.
_RETRY_SECONDS = 0.5


class ChangeListener:
    """Sets the events of the waits for a question each time that it may have changed."""

    def __init__(self, service: AskingService, *, recheck_seconds: float = RECHECK_SECONDS) -> None:
        self._service = service
        self._recheck_seconds = recheck_seconds
        self._events: dict[str, set[asyncio.Event]] = {}
        self._subscription: asyncio.Task[None] | None = None
        self._is_closing = False

    @contextmanager
    def listening(self, question_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the question may have changed; clear it, then read the question."""
        if self._subscription is None or self._subscription.done():
            self._subscription = asyncio.create_task(self._follow())
        changed = asyncio.Event()
        self._events.setdefault(question_id, set()).add(changed)
        try:
            yield changed
        finally:
            events = self._events[question_id]
            events.discard(changed)
            if not events:
                del self._events[question_id]

    async def close(self) -> None:
        """End the subscription."""
        self._is_closing = True
        if self._subscription is not None:
            self._subscription.cancel()
            await asyncio.gather(self._subscription, return_exceptions=True)

    async def _follow(self) -> None:
        """Subscribe until closed; each new subscription causes every question to be read again.

        redis-py can swallow the cancellation of a read that times out at that moment: so each loop ends by itself too.
        """
        while not self._is_closing:
            try:
                changes = await self._service.subscribe()
                try:
                    await self._set_events(changes)
                finally:
                    with suppress(RedisError, OSError):
                        await changes.close()
            except (RedisError, OSError) as error:
                logger.warning(
                    "waits.unsubscribed reason=%s: waits continue once Redis is available again", type(error).__name__
                )
                await asyncio.sleep(_RETRY_SECONDS)

    async def _set_events(self, changes: QuestionChanges) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_closing:
            for events in self._events.values():
                for event in events:
                    event.set()
            recheck_at = loop.time() + self._recheck_seconds
            while (seconds := recheck_at - loop.time()) > 0 and not self._is_closing:
                change = await changes.next_change(seconds=seconds)
                for event in self._events.get(change.id, ()) if change is not None else ():
                    event.set()
