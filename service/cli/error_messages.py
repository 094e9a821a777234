"""Errors as a user of the command line sees them: a sentence, not a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis.exceptions import RedisError

from hitlsh.errors import HitlshError
from service.cli.output import echo_lines
from service.errors import ServiceError
from workers.errors import WorkersError


class CommandError(ServiceError, click.ClickException):
    """Ends the program with a sentence on standard error and exit status 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        echo_lines(self.message, err=True)


class NoMatch(CommandError):
    """A named event, request or handler does not exist, or there is nothing to change. Exit status 1."""

    exit_code = 1


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn the errors that have a remedy into one message and exit status 2."""
    try:
        yield
    except click.ClickException:  # has its message and its exit status
        raise
    except (ServiceError, WorkersError, HitlshError) as error:
        raise CommandError(str(error)) from error
    except RedisError as error:
        raise CommandError(
            f"Redis failed ({type(error).__name__}: {error}). Is REDIS_URL right, and does the server run?"
        ) from error
