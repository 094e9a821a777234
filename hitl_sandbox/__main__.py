"""``python -m hitl_sandbox``: a local HITL.sh until it is told to stop."""

import signal
import sys
from types import FrameType
from typing import Any, get_args

import click

from hitl_sandbox.app import build_app
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.rules import check_url
from hitl_sandbox.server import SandboxServer
from hitl_sandbox.settings import OWNER, CallbackVariant, ResponseForm, Settings

FORMS = click.Choice(get_args(ResponseForm))


# Every option may stand in the environment too (SANDBOX_WEBHOOK_SECRET): a command line is for all to see.
@click.command(
    context_settings={
        "show_default": True,
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SANDBOX",
    }
)
@click.option("--port", default=8100, help="Where to listen.")
@click.option("--host", default="127.0.0.1", help="0.0.0.0 to be reachable from containers, with --allow-host.")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    help="A host name that requests may call the sandbox by, beside those of loopback.",
)
@click.option("--key", "keys", multiple=True, help="An API key to accept, or KEY=EMAIL. None: any is.")
@click.option("--db", type=click.Path(dir_okay=False), help="Keep everything in this SQLite file.")
@click.option("--speed", default=1.0, type=click.FloatRange(min=0), help="Sandbox seconds per second.")
@click.option("--seed", type=int, help="Makes identifiers and faults repeatable.")
@click.option("--rate-limit", default=100, type=click.IntRange(min=1), help="API calls per key and hour.")
@click.option("--webhook", help="An account webhook to register at start.")
@click.option("--webhook-secret", default="", help="What its deliveries are signed with.")
@click.option("--callback-variant", default="callback-v2", type=click.Choice(get_args(CallbackVariant)))
@click.option("--callback-form", default="object", type=FORMS, help="How answers look in callbacks.")
@click.option("--response-form", default="label", type=FORMS, help="How answers look in GET replies.")
@click.option("--deadline", default=10.0, help="Seconds a receiver has to answer a delivery.")
@click.option("--claims", is_flag=True, help="Reviewers can claim requests, as in the first API generation.")
@click.option("--r1-replies", is_flag=True, help="Replies with the extra keys of the first API generation.")
@click.option("--fill-timeout", is_flag=True, help="response_data is the default after a timeout.")
@click.option("--strict", is_flag=True, help="Require all the reference requires; refuse undocumented calls.")
def main(port: int, host: str, allow_hosts: tuple[str, ...], keys: tuple[str, ...], **options: Any) -> None:
    """A local HITL.sh: its API, its deliveries, and a page to answer requests on."""
    if options["webhook"] is not None:
        _check_webhook(options["webhook"], options["webhook_secret"])
    is_wildcard = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    allowed = [*allow_hosts, *([] if is_wildcard else [host])]
    settings = Settings().changed({"keys": read_keys(keys), "allow_hosts": allowed, **options})
    shown = "127.0.0.1" if is_wildcard else host
    origin = f"http://{shown}:{port}"

    def announce() -> None:
        click.echo(f"HITL.sh sandbox: answer requests at {origin}/ - the API is {origin}/v1")

    # Uvicorn hands the signal that stopped it on to whoever handled it before: leave with success.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    SandboxServer(build_app(settings), host=host, port=port, on_start=announce).run()


def read_keys(keys: tuple[str, ...]) -> dict[str, str]:
    """``KEY`` belongs to the owner's account, ``KEY=EMAIL`` to that of the e-mail address."""
    pairs = (key.partition("=") for key in keys)
    return {token: email or OWNER for token, _, email in pairs}


def _check_webhook(url: str, secret: str) -> None:
    try:
        check_url(url, "--webhook")
    except Refusal as refusal:
        raise click.BadParameter(f"{refusal.data}; give an https:// address, or http:// nearby") from None
    if not secret:
        raise click.BadParameter("--webhook-secret is required with --webhook: deliveries are signed")


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
