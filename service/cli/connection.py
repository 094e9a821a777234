"""The Redis server that a command works on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis

from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from workers.redis_clients import command_client
from workers.settings import Settings


@contextmanager
def connect(client: Callable[[str], Redis] = command_client) -> Iterator[Redis]:
    """Connect to the server of REDIS_URL, or of the `dev` stack in this folder. Errors become one message."""
    with explain_errors():
        redis = client(Settings.from_env(environment()).redis_url)
        try:
            yield redis
        finally:
            redis.close()
