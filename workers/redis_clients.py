"""Makes every Redis client, with explicit timeouts and retries; replies stay bytes.

redis-py retries ten times from `Redis()` and never from `from_url`; neither suits a web process or a worker. Every
write of ours is safe to repeat.
"""

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

#: How long the web process waits for Redis, in seconds, before it answers 503.
RECEIVER_TIMEOUT = 2.0
_BACKOFF = ExponentialWithJitterBackoff(base=0.05, cap=2.0)


def receiver_client(url: str) -> AsyncRedis:
    """For the web process: gives up within `RECEIVER_TIMEOUT`, so that HITL.sh gets 503 and repeats the delivery."""
    return AsyncRedis.from_url(
        url,
        socket_timeout=RECEIVER_TIMEOUT,
        socket_connect_timeout=RECEIVER_TIMEOUT,
        retry=AsyncRetry(_BACKOFF, 1),
    )


def drain_client(url: str, *, patience: float = 10.0) -> AsyncRedis:
    """For a drain: keeps trying through an outage of some seconds."""
    return AsyncRedis.from_url(
        url, socket_timeout=patience, socket_connect_timeout=patience, retry=AsyncRetry(_BACKOFF, 6)
    )


def worker_client(url: str) -> Redis:
    """For RQ's own bookkeeping, the clock and the lease keeper: keeps trying through an outage of a minute.

    RQ raises `socket_timeout` itself for commands that block.
    """
    return Redis.from_url(url, socket_timeout=10.0, socket_connect_timeout=5.0, retry=Retry(_BACKOFF, 30))


def keeper_client(url: str, lease: float) -> Redis:
    """For the lease keeper: a connection that hangs must not cost the leases, so it gives up well within one."""
    patience = max(0.25, lease / 6)
    return Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=patience, retry=Retry(_BACKOFF, 1))


def command_client(url: str) -> Redis:
    """For the command line and checks at start-up: a person is waiting."""
    return Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=2.0, retry=Retry(_BACKOFF, 1))


def monitor_client(url: str) -> Redis:
    """For `status`: a monitor that runs it may give up after 10 seconds, and takes that for an unknown state."""
    return Redis.from_url(
        url, socket_timeout=RECEIVER_TIMEOUT, socket_connect_timeout=RECEIVER_TIMEOUT, retry=Retry(_BACKOFF, 1)
    )


def check_client(url: str) -> Redis:
    """For the checks when a program starts, which must not keep it from starting."""
    return Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(_BACKOFF, 0))


def limit_retries(redis: Redis) -> None:
    """Wait at most a second for a server that does not answer: the process that uses this client is about to end."""
    redis.set_retry(Retry(_BACKOFF, 3))
