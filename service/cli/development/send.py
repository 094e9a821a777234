"""`hitl-receiver send`: post a sample delivery as HITL.sh would."""

import sys
from typing import Any

import click
import httpx

from hitlsh.samples.catalog import SAMPLES, sample
from hitlsh.signatures import headers
from service.cli.environment import environment
from service.cli.error_messages import explain_errors
from service.cli.options import NameChoice, insecure_option, parse_json
from service.cli.output import echo, print_table
from service.errors import ServiceError
from service.web.app import WEBHOOKS
from workers.asking import callback_url
from workers.settings import Settings


class CannotSend(ServiceError):
    """The sample could not be posted; the message says why and what to do."""


_MEANINGS = {
    200: "stored before, or no route matches its event",
    202: "stored; a worker runs the handlers",
    400: "verified, but not JSON; stored raw",
    401: "not verified: the secret differs, or the token is forged or expired",
    404: "no such endpoint: is its secret set at the receiver?",
    413: "larger than HITL_MAX_BODY",
    503: "the receiver could not store it; HITL.sh would retry",
}


@click.command()
@click.argument("name", type=NameChoice(sorted(SAMPLES)), required=False, metavar="[SAMPLE]")
@click.option("--to", default=None, metavar="URL", help="Target: a callback URL, or the address of a receiver.")
@click.option("--response", default=None, metavar="JSON", help="Response, such as '\"Reject\"' or 'false'.")
@click.option("--request-id", default=None, help="Request id. Default: a new one.")
@click.option(
    "--callback-state", "state", default=None, metavar="JSON", help="State of the callback URL that is created."
)
@insecure_option
def send(name: str | None, to: str | None, response: str | None, request_id: str | None, state: str | None) -> None:
    """Post a sample delivery as HITL.sh does. Without SAMPLE, list the samples.

    A callback sample goes to a callback URL: that of --to, or a new one, signed with HITL_CALLBACK_SECRETS. Other
    samples are signed with HITL_WEBHOOK_SECRETS. Where these are not set, those of the `dev` stack in this folder
    are used.

    \b
    hitl-receiver send callback-v2.completed --callback-state '{"invoice": 7}'
    hitl-receiver send nested.completed --response '"Reject"'
    """
    with explain_errors():
        if name is None:
            list_samples()
            return
        sys.exit(send_sample(name, to=to, response=parse_json(response, "--response"), answered=response is not None,
                             request_id=request_id, state=parse_json(state, "--callback-state")))  # fmt: skip


def list_samples() -> None:
    """Print the samples that `send` can post."""
    rows = [(name, entry.endpoint, entry.summary) for name, entry in SAMPLES.items()]
    print_table(("SAMPLE", "SENT AS", "SUMMARY"), rows)


def send_sample(name: str, *, to: str | None, response: Any, answered: bool, request_id: str | None, state: Any) -> int:
    """Post one sample and print the answer; returns an exit status."""
    answer = {"response": response} if answered else {}
    body = sample(name, request_id=request_id, **answer)
    if SAMPLES[name].endpoint == "callback":
        address, extra = to or callback_url(_settings(), state), {}
    else:
        address, extra = _webhook_address(to), headers(_webhook_secret(), body)
    try:
        reply = httpx.post(address, content=body, headers={"content-type": "application/json", **extra}, timeout=15.0)
    except httpx.TransportError as error:
        raise CannotSend(
            f"No answer from {_origin(address)} ({type(error).__name__}): does the receiver run?"
        ) from error
    echo(f"{reply.status_code}: {_MEANINGS.get(reply.status_code, reply.reason_phrase)}")
    return 0 if reply.is_success else 1


def _settings() -> Settings:
    # Sending needs no Redis.
    return Settings.from_env({"REDIS_URL": "redis://unused", **environment()})


def _webhook_address(to: str | None) -> str:
    base = to or _settings().public_url
    if base is None:
        raise CannotSend("No address to send to: give --to http://127.0.0.1:8000, or set HITL_PUBLIC_URL.")
    return base if httpx.URL(base).path.strip("/") else base.rstrip("/") + WEBHOOKS


def _webhook_secret() -> str:
    secrets = _settings().webhook_secrets
    if not secrets:
        raise CannotSend("HITL_WEBHOOK_SECRETS is not set, so the sample cannot be signed: set it as at the receiver.")
    return secrets[-1]


def _origin(address: str) -> str:
    """The address without its path: a callback URL's token is a password."""
    url = httpx.URL(address)
    return f"{url.scheme}://{url.netloc.decode()}"
