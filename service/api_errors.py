"""What goes wrong at HITL.sh's API, said in a line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hitlsh.api import DocumentedLimitWarning
from hitlsh.errors import HitlshError
from service.api_tables import printable
from service.private_folder import FolderRefused


@contextmanager
def in_a_line() -> Iterator[None]:
    """An error becomes one line and exit status 1; warnings are said beside the result."""
    try:
        with _warnings_spoken():
            yield
    except (HitlshError, FolderRefused) as error:
        raise click.ClickException(printable(str(error))) from None


@contextmanager
def _warnings_spoken() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", DocumentedLimitWarning)
        try:
            yield
        finally:
            for warning in warned:
                click.echo(f"Warning: {printable(str(warning.message))}", err=True)
