"""The option that accepts an address without TLS."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _accept(_ctx: click.Context, _param: click.Parameter, is_given: bool) -> None:
    if is_given:
        # Settings come from the environment, those of the processes that this one starts too.
        os.environ["HITL_INSECURE"] = "1"


def insecure(command: Command) -> Command:
    """Add ``--insecure``."""
    return click.option(
        "--insecure",
        is_flag=True,
        expose_value=False,
        callback=_accept,
        help="Accept a HITL_PUBLIC_URL without TLS (HITL_INSECURE=1): others can read callback URLs.",
    )(command)
