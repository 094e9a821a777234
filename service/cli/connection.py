"""The server that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from service.cli.environment import environment
from service.cli.error_messages import explain
from workers.redis_clients import command_client
from workers.settings import Settings


@contextmanager
def connected() -> Iterator[Redis]:
    """The server of REDIS_URL, or of the `dev` stack in this folder; what goes wrong is one sentence."""
    with explain():
        redis = command_client(Settings.from_env(environment()).redis_url)
        try:
            yield redis
        finally:
            redis.close()
