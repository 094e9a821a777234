"""The API client of a command, and its errors as single lines."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hitlsh.api import ArgumentInvalid, Client, DocumentedLimitWarning
from hitlsh.api.http.credentials import DEFAULT_BASE_URL
from hitlsh.asking.ask_errors import QuestionInvalid
from hitlsh.errors import HitlshError
from service.cli.environment import environment
from service.cli.output import echo
from service.local.private_folder import FolderRefused
from workers.settings import api_keys_of
from workers.telemetry.escaping import one_line

#: The options whose names are not those of the API's fields.
_FLAGS = {
    "request_text": "--text",
    "response_type": "--type",
    "options": "--option",
    "true_label": "--option",
    "false_label": "--option",
    "scale_min": "--min",
    "min_value": "--min",
    "scale_max": "--max",
    "max_value": "--max",
    "draft_text": "--draft",
    "default_response": "--default",
    "timeout_seconds": "--timeout",
    "image_url": "--image",
    "loop_id": "--loop",
    "approver_ids": "--approver",
    "steps": "--approver",
    "events": "--event",
    "files_modified": "--file-modified",
}


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
    except ArgumentInvalid as error:
        raise click.ClickException(one_line(_with_flag(error.field, error.problem))) from None
    except QuestionInvalid as error:
        problems = "; ".join(_with_flag(each.field, each.problem) for each in error.problems)
        raise click.ClickException(one_line(problems)) from None
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
                message = warning.message
                if isinstance(message, DocumentedLimitWarning):
                    text = _with_flag(message.field, message.problem)
                else:
                    text = str(message)
                echo(f"Warning: {one_line(text)}", err=True)


def _with_flag(field: str | None, problem: str) -> str:
    return problem if field is None else f"{_flag_of(field)} {problem}"


def _flag_of(field: str) -> str:
    """The option or the argument of the running command that fills a field of the API; else the field itself."""
    name = field.removeprefix("response_config.").split("[")[0].split(".")[0]
    context = click.get_current_context(silent=True)
    parameters = [] if context is None else context.command.params
    for flag in (_FLAGS.get(name, ""), f"--{name.replace('_', '-')}"):
        if any(flag in parameter.opts for parameter in parameters):
            return flag
    is_argument = any(isinstance(parameter, click.Argument) and parameter.name == name for parameter in parameters)
    return name.upper() if is_argument else name
