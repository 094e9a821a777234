"""Posting samples as HITL.sh would, and minting callback URLs."""

import sys
from typing import Any

import click
import httpx

from hitlsh.samples.catalog import SAMPLES, sample
from hitlsh.signatures import headers
from service.cli.environment import environment
from service.cli.error_messages import explain
from service.cli.insecure_option import insecure
from service.cli.json_option import parse_json
from service.cli.output import echo
from service.errors import ServiceError
from service.web.app import WEBHOOKS
from workers.asking import callback_url
from workers.settings import Settings


class CannotSend(ServiceError):
    """Something that sending needs is not set; the message says what."""


_MEANINGS = {
    200: "kept before, or no handler wants it",
    202: "kept; the workers have it now",
    400: "verified, but not JSON (kept raw)",
    401: "not verified: another secret, or a token that is forged or expired",
    404: "no such endpoint: is its secret set at the receiver?",
    413: "larger than HITL_MAX_BODY",
    503: "the receiver cannot reach its Redis; HITL.sh would come again",
}


@click.command()
@click.argument("sample", type=click.Choice(sorted(SAMPLES)), required=False, metavar="[SAMPLE]")
@click.option("--to", default=None, metavar="URL", help="Target: a callback URL, or the address of a receiver.")
@click.option("--response", default=None, metavar="JSON", help="Response, such as '\"Reject\"' or 'false'.")
@click.option("--request-id", default=None, help="Request id. Default: a new one.")
@click.option("--state", default=None, metavar="JSON", help="State of the minted callback URL.")
@insecure
def send(sample: str | None, to: str | None, response: str | None, request_id: str | None, state: str | None) -> None:
    """Post a sample delivery as HITL.sh does. Without SAMPLE, list the samples.

    A sample of a callback goes to a callback URL (minted with HITL_CALLBACK_SECRETS unless --to names one),
    the others are signed with HITL_WEBHOOK_SECRETS. Without settings in the environment, those of the `dev`
    stack in this folder are used.
    """
    with explain():
        if sample is None:
            list_samples()
            return
        sys.exit(send_sample(sample, to=to, response=parse_json(response, "--response"), answered=response is not None,
                             request_id=request_id, state=parse_json(state, "--state")))  # fmt: skip


def list_samples() -> None:
    """Print what `send` can post."""
    width = max(len(name) for name in SAMPLES)
    for name, entry in SAMPLES.items():
        echo(f"{name:<{width}}  {entry.endpoint:<8}  {entry.summary}")


def mint(state: Any) -> str:
    """A callback URL with `state` in it."""
    return callback_url(_settings(), state)


def send_sample(name: str, *, to: str | None, response: Any, answered: bool, request_id: str | None, state: Any) -> int:
    """Post one sample and say what came of it; answers an exit status."""
    answer = {"response": response} if answered else {}
    body = sample(name, request_id=request_id, **answer)
    if SAMPLES[name].endpoint == "callback":
        address, extra = to or mint(state), {}
    else:
        address, extra = _webhook_address(to), headers(_webhook_secret(), body)
    try:
        reply = httpx.post(address, content=body, headers={"content-type": "application/json", **extra}, timeout=15.0)
    except httpx.TransportError as error:
        raise CannotSend(
            f"Nobody answers at {_origin(address)} ({type(error).__name__}): is the receiver running?"
        ) from error
    echo(f"{reply.status_code}: {_MEANINGS.get(reply.status_code, reply.reason_phrase)}")
    return 0 if reply.is_success else 1


def _settings() -> Settings:
    # Sending needs no Redis; what dev made up for this folder serves where the environment is silent.
    return Settings.from_env({"REDIS_URL": "redis://unused", **environment()})


def _webhook_address(to: str | None) -> str:
    base = to or _settings().public_url
    if base is None:
        raise CannotSend("Where to? Name the receiver with --to http://127.0.0.1:8000, or set HITL_PUBLIC_URL.")
    return base if httpx.URL(base).path.strip("/") else base.rstrip("/") + WEBHOOKS


def _webhook_secret() -> str:
    secrets = _settings().webhook_secrets
    if not secrets:
        raise CannotSend("HITL_WEBHOOK_SECRETS is not set, so the sample cannot be signed: set it as at the receiver.")
    return secrets[-1]


def _origin(address: str) -> str:
    """Without the path: a callback URL's token is a password."""
    url = httpx.URL(address)
    return f"{url.scheme}://{url.netloc.decode()}"
