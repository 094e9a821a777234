"""Clients of HITL.sh's API whose requests the inbox tracks, and whose calls count in the shared budget."""

import time
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.api import AsyncClient, Client, SentRequest
from hitlsh.api.models.requests import CreatedRequest
from hitlsh.callbacks import CallbackSigner
from hitlsh.trace_context import current_traceparent
from workers.errors import CannotAsk
from workers.inbox.budget.redis_budget import AsyncRedisBudget, RedisBudget
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.api_keys import api_key_hash
from workers.reconcile.api_reading import callback_of
from workers.reconcile.snapshot import rules
from workers.settings import Settings

#: Seconds by which clocks may differ; a larger difference means that HITL.sh changed the timeout.
CLOCK_SKEW = 300.0


class RedisRequestRecorder:
    """Adds each asked request to the request tracker."""

    def __init__(
        self, redis: Redis, signer: CallbackSigner | None = None, *, retention: int, api_key: str | None = None
    ) -> None:
        """`signer`: reads the token of our callback URL in a request, so that no other request may use it.

        `retention`: seconds that finished work is kept. `api_key`: the key that asks; by default the current one.
        """
        self._redis = redis
        self._retention = retention
        self._signer = signer
        self._key_hash = None if api_key is None else api_key_hash(api_key)

    def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        """Track the request. Safe to repeat."""
        request = entry(created, sent, self._signer, time.time())
        tracked_requests.track(self._redis, request, retention=self._retention, key_hash=self._key_hash)


class AsyncRedisRequestRecorder:
    """`RedisRequestRecorder` for an `AsyncClient`."""

    def __init__(
        self, redis: AsyncRedis, signer: CallbackSigner | None = None, *, retention: int, api_key: str | None = None
    ) -> None:
        """See `RedisRequestRecorder`."""
        self._redis = redis
        self._retention = retention
        self._signer = signer
        self._key_hash = None if api_key is None else api_key_hash(api_key)

    async def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        """See `RedisRequestRecorder.record`."""
        request = entry(created, sent, self._signer, time.time())
        await tracked_requests.atrack(self._redis, request, retention=self._retention, key_hash=self._key_hash)


def asking_client(settings: Settings, redis: Redis) -> Client:
    """A client whose requests the inbox tracks; raises `CannotAsk` without an API key.

    Every call is charged to the shared hourly budget, in which reconcile runs leave a reserve for asking. A call that
    would have to wait for longer than the client's retry policy allows raises `BudgetExhausted` with the time of the
    next hour.
    """
    key = _key(settings)
    return Client(
        key,
        base_url=settings.base_url,
        budget=RedisBudget(redis, key, rules=rules(settings), purpose="asking"),
        recorder=RedisRequestRecorder(redis, _signer(settings), retention=settings.retention, api_key=key),
    )


def async_asking_client(settings: Settings, redis: AsyncRedis) -> AsyncClient:
    """`asking_client` for asyncio."""
    key = _key(settings)
    return AsyncClient(
        key,
        base_url=settings.base_url,
        budget=AsyncRedisBudget(redis, key, rules=rules(settings), purpose="asking"),
        recorder=AsyncRedisRequestRecorder(redis, _signer(settings), retention=settings.retention, api_key=key),
    )


def callback_url(settings: Settings, state: Any = None) -> str:
    """A callback URL for one request, whose `state` is returned as ``decision.state``.

    Anybody who has the URL can answer in HITL.sh's name. Raises `CannotAsk` if a setting is missing, and
    `hitlsh.callbacks.StateInvalid` for a state that is not JSON or too large.
    """
    signer = _signer(settings)
    if signer is None:
        raise CannotAsk(
            "HITL_CALLBACK_SECRETS is not set, so no callback URL can be signed: set it as at the receiver."
        )
    if settings.public_url is None:
        raise CannotAsk("HITL_PUBLIC_URL is not set: write the address under which HITL.sh reaches the receiver.")
    return signer.url(settings.public_url, signer.mint(state))


def entry(
    created: CreatedRequest, sent: SentRequest, signer: CallbackSigner | None, now: float
) -> tracked_requests.NewRequest:
    """The request for the request tracker. `now`: our clock in seconds since 1970."""
    created_at = _created_at(created, sent, now)
    return tracked_requests.NewRequest(
        request_id=created.request_id,
        created_at=created_at,
        timeout_at=_timeout_at(created, sent, created_at),
        callback=callback_of(sent.callback_url, signer),
        details=sent.details,
        traceparent=current_traceparent(),
    )


def _created_at(created: CreatedRequest, sent: SentRequest, now: float) -> float:
    """When HITL.sh created it: from the reply (undocumented), else derived from its timeout, else `now`."""
    if created.created_at is not None:
        return created.created_at.timestamp()
    if created.timeout_at is None or sent.timeout_seconds is None:
        return now
    implied = created.timeout_at.timestamp() - sent.timeout_seconds
    return implied if abs(implied - now) < CLOCK_SKEW else now


def _timeout_at(created: CreatedRequest, sent: SentRequest, created_at: float) -> float | None:
    if created.timeout_at is not None:
        return created.timeout_at.timestamp()
    return created_at + sent.timeout_seconds if sent.timeout_seconds is not None else None


def _key(settings: Settings) -> str:
    if settings.api_key is None:
        raise CannotAsk("HITL_API_KEY is not set: set it to the API key of your HITL.sh account.")
    return settings.api_key


def _signer(settings: Settings) -> CallbackSigner | None:
    return CallbackSigner(settings.callback_secrets) if settings.callback_secrets else None
