"""``python -m hitl_sandbox``: runs a local HITL.sh until it is stopped."""

import os
import signal
import sys
from types import FrameType
from typing import Any, get_args

import click

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.request_spec import check_url
from hitl_sandbox.settings import OWNER, CallbackVariant, ResponseForm, SandboxSettings

try:
    from hitl_sandbox.app import build_app
    from hitl_sandbox.server import SandboxServer
except ModuleNotFoundError as error:
    if str(error.name).startswith("hitl_sandbox"):
        raise
    sys.exit(f"The sandbox needs {error.name}, which is not installed: pip install 'hitl-receiver[sandbox]'")

FORMS = click.Choice(get_args(ResponseForm))


# Every option can be an environment variable (SANDBOX_WEBHOOK_SECRET): other users can read a command line.
@click.command(
    context_settings={
        "show_default": True,
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SANDBOX",
    }
)
@click.option("--port", default=8100, help="Port to listen on.")
@click.option("--host", default="127.0.0.1", help="Address to listen on; for containers 0.0.0.0, with --allow-host.")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    help="Host name under which requests may call the sandbox, beside the names of loopback.",
)
@click.option(
    "--key", "keys", multiple=True, help="API key to accept, as KEY or KEY=EMAIL. Without any, every key is accepted."
)
@click.option("--db", type=click.Path(dir_okay=False), help="SQLite file for all records; in memory without it.")
@click.option("--speed", default=1.0, type=click.FloatRange(min=0), help="Sandbox seconds in a second.")
@click.option("--seed", type=int, help="Seed for repeatable identifiers and faults.")
@click.option("--rate-limit", default=100, type=click.IntRange(min=1), help="API calls allowed to a key in an hour.")
@click.option("--webhook", help="URL of an account webhook to register at start.")
@click.option("--webhook-secret", default="", help="Secret that signs the deliveries of --webhook.")
@click.option(
    "--callback-variant",
    default="callback-v2",
    type=click.Choice(get_args(CallbackVariant)),
    help="Payload form of callbacks.",
)
@click.option("--callback-form", default="object", type=FORMS, help="Form of answers in callbacks.")
@click.option("--response-form", default="label", type=FORMS, help="Form of answers in GET replies.")
@click.option("--deadline", default=10.0, help="Seconds in which a receiver must answer a delivery.")
@click.option("--claims", is_flag=True, help="Let reviewers claim requests, as in the first API generation.")
@click.option("--r1-replies", is_flag=True, help="Add the extra keys of the first API generation to replies.")
@click.option("--fill-timeout", is_flag=True, help="Return the default as response_data after a timeout.")
@click.option("--strict", is_flag=True, help="Require every field of the reference; refuse undocumented calls.")
def main(port: int, host: str, allow_hosts: tuple[str, ...], keys: tuple[str, ...], **options: Any) -> None:
    """Run a local HITL.sh: its API, its deliveries, and a page on which to answer requests."""
    if options["webhook"] is not None:
        _check_webhook(options["webhook"], options["webhook_secret"])
    is_wildcard = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    allowed = [*allow_hosts, *([] if is_wildcard else [host])]
    settings = SandboxSettings().changed({"keys": read_keys(keys), "allow_hosts": allowed, **options})
    address = "127.0.0.1" if is_wildcard else host
    origin = f"http://{address}:{port}"

    def announce() -> None:
        click.echo(f"HITL.sh sandbox: answer requests at {origin}/ - the API is {origin}/v1")

    # After a stop Uvicorn raises the signal again for the previous handler: exit with success there.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    SandboxServer(build_app(settings), host=host, port=port, on_start=announce).run()


def read_keys(keys: tuple[str, ...]) -> dict[str, str]:
    """Read keys: ``KEY`` has the owner's account, ``KEY=EMAIL`` the account of that address."""
    pairs = (key.partition("=") for key in keys)
    return {token: email or OWNER for token, _, email in pairs}


def _check_webhook(url: str, secret: str) -> None:
    try:
        check_url(url, "--webhook")
    except Refusal as refusal:
        raise click.BadParameter(
            f"{refusal.data}; give an https:// address, or an http:// address in a private network"
        ) from None
    if not secret:
        raise click.BadParameter("--webhook-secret is required with --webhook: deliveries are signed")


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # an exception would be lost where it is raised in a `__del__`


if __name__ == "__main__":
    main()
