"""What a person at the command line is told when something is wrong: a sentence, not a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis.exceptions import RedisError

from hitlsh.errors import HitlshError
from service.cli.output import echo_lines
from service.errors import ServiceError
from workers.errors import WorkersError


@contextmanager
def explain() -> Iterator[None]:
    """Turn the errors that have a remedy into one message and exit status 2."""
    try:
        yield
    except click.ClickException:  # says already what there is to say
        raise
    except (ServiceError, WorkersError, HitlshError) as error:
        raise CommandError(str(error)) from error
    except RedisError as error:
        raise CommandError(
            f"Redis does not answer as it should ({type(error).__name__}: {error}). Is REDIS_URL right, and is it up?"
        ) from error


class CommandError(ServiceError, click.ClickException):
    """Ends the program with a sentence on standard error."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        echo_lines(self.message, err=True)
