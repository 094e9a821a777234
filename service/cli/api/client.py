"""The API client of a command, and its errors as single lines."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hitlsh.api import Client, DocumentedLimitWarning
from hitlsh.api.http.credentials import DEFAULT_BASE_URL
from hitlsh.errors import HitlshError
from service.cli.environment import environment
from service.cli.output import echo
from service.escaping import one_line
from service.local.private_folder import FolderRefused
from workers.settings import api_keys_of


@contextmanager
def client_from_environment() -> Iterator[Client]:
    """A client for one command; an error becomes one line and exit status 1."""
    with report_api_errors():
        environ = environment()
        keys = api_keys_of(environ)
        if not keys:
            raise click.ClickException("HITL_API_KEY is not set: set it to the API key of your HITL.sh account.")
        address = environ.get("HITL_BASE_URL", "").strip() or DEFAULT_BASE_URL
        with Client(keys[-1], base_url=address) as client:
            yield client


@contextmanager
def report_api_errors() -> Iterator[None]:
    """Turn an error into one line and exit status 1, and print warnings beside the result."""
    try:
        with _print_warnings():
            yield
    except (HitlshError, FolderRefused) as error:
        raise click.ClickException(one_line(str(error))) from None


@contextmanager
def _print_warnings() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DocumentedLimitWarning)
        try:
            yield
        finally:
            for warning in caught:
                echo(f"Warning: {one_line(str(warning.message))}", err=True)
