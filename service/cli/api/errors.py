"""What goes wrong at HITL.sh's API, said in a line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hitlsh.api import DocumentedLimitWarning
from hitlsh.errors import HitlshError
from service.cli.output import echo
from service.escaping import one_line
from service.local.private_folder import FolderRefused


@contextmanager
def in_a_line() -> Iterator[None]:
    """An error becomes one line and exit status 1; warnings are said beside the result."""
    try:
        with _warnings_spoken():
            yield
    except (HitlshError, FolderRefused) as error:
        raise click.ClickException(one_line(str(error))) from None


@contextmanager
def _warnings_spoken() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", DocumentedLimitWarning)
        try:
            yield
        finally:
            for warning in warned:
                echo(f"Warning: {one_line(str(warning.message))}", err=True)
