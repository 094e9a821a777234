"""Posting samples as HITL.sh would, and minting callback URLs."""

from typing import Any

import httpx

from hitlsh.samples.catalog import SAMPLES, sample
from hitlsh.signatures import headers
from service.cli.environment import environment
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
    404: "no such door: is its secret set at the receiver?",
    413: "larger than HITL_MAX_BODY",
    503: "the receiver cannot reach its Redis; HITL.sh would come again",
}


def list_samples() -> None:
    """Print what `send` can post."""
    width = max(len(name) for name in SAMPLES)
    for name, entry in SAMPLES.items():
        echo(f"{name:<{width}}  {entry.door:<8}  {entry.summary}")


def mint(state: Any) -> str:
    """A callback URL with `state` in it."""
    return callback_url(_settings(), state)


def send_sample(name: str, *, to: str | None, response: Any, answered: bool, request_id: str | None, state: Any) -> int:
    """Post one sample and say what came of it; answers an exit status."""
    answer = {"response": response} if answered else {}
    body = sample(name, request_id=request_id, **answer)
    if SAMPLES[name].door == "callback":
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
