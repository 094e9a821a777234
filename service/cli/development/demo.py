"""`hitl-receiver demo`: the whole stack once, with three decisions and the timeline of each."""

import secrets
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import click
import httpx
from redis import Redis

from hitlsh.api import Client, single_select
from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Event
from hitlsh.samples.catalog import sample
from hitlsh.signatures import headers
from hitlsh.webhooks.parsing import parse
from service.cli.error_messages import explain_errors
from service.cli.output import echo, echo_lines
from service.local import extras
from service.local.stack import Stack, free_port
from service.web.app import WEBHOOKS
from workers.inbox.event_records import EventRecord
from workers.inbox.queries import lookup
from workers.redis_clients import command_client

#: Seconds within which each event must be handled.
LONGEST_WAIT = 20.0
#: In the package, since an installed wheel has no examples.
HANDLERS = "service.local.demo_handlers"
_VERIFIED_BY = {"signed": "HMAC signature over the body", "callback": "token in the callback URL"}


@click.command()
def demo() -> None:
    """Run the whole stack once, and show each event.

    It runs in a temporary folder, posts a callback and an account webhook, and asks a question in the sandbox and
    answers it. Needs the extra `sandbox`, and `embedded` or a Valkey or Redis server on PATH.
    """
    with explain_errors():
        sys.exit(run())


def run() -> int:
    """Start the stack, send, wait and stop; returns an exit status."""
    extras.require("sandbox", "`demo` asks a question in the sandbox, which is not installed")
    webhook_secret, callback_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    environ = {
        "HITL_WEBHOOK_SECRETS": webhook_secret,
        "HITL_CALLBACK_SECRETS": callback_secret,
        "HITL_HANDLERS": HANDLERS,
        "HITL_LOG_LEVEL": "WARNING",
        "HITL_API_KEY": f"hitl_dev_{secrets.token_hex(16)}",
    }
    port = free_port()
    sandbox_port = free_port(port + 1)
    environ["HITL_BASE_URL"] = f"http://127.0.0.1:{sandbox_port}/v1"
    with (
        tempfile.TemporaryDirectory(prefix="hitl-demo-") as folder,
        Stack(Path(folder), environ, port=port, sandbox_port=sandbox_port, print_line=_print_line) as stack,
    ):
        echo(f"The stack is running: {stack.url}")
        redis = command_client(stack.redis_url)
        signer = CallbackSigner([callback_secret])
        callback = signer.url(stack.url, signer.mint({"order": 1881}))
        event_keys = [
            _post("a callback", callback, sample("callback-v2.completed"), {}),
            _post("an account webhook", stack.url + WEBHOOKS, *_signed(webhook_secret)),
            _ask_and_answer(f"http://127.0.0.1:{sandbox_port}", environ["HITL_API_KEY"], callback),
        ]
        records = [_wait_until_handled(redis, key) for key in event_keys]
        redis.close()
    for record in records:
        echo()
        echo(record.key, bold=True)
        echo_lines(_timeline(record))
    return 0 if all(record.state == "done" for record in records) else 1


def _signed(secret: str) -> tuple[bytes, dict[str, str]]:
    body = sample("nested.completed")
    return body, headers(secret, body)


def _post(description: str, address: str, body: bytes, extra: dict[str, str]) -> str:
    """Post a delivery; returns the key of its event."""
    reply = httpx.post(address, content=body, headers={"content-type": "application/json", **extra}, timeout=10.0)
    echo(f"Posted {description}: {reply.status_code}")
    return parse(body).key


def _ask_and_answer(sandbox: str, api_key: str, callback: str) -> str:
    """Ask a question in the sandbox, and answer it as a reviewer; returns the key of its event."""
    with Client(api_key, base_url=f"{sandbox}/v1") as client:
        created_loop = client.loops.create("Demo desk", icon="shield-check")
        created = client.requests.create(
            created_loop.loop.id,
            "May this post go live?",
            single_select("Publish", "Hold back"),
            default_response="Hold back",
            timeout_seconds=600,
            callback_url=callback,
        )
    echo(f"Asked in the sandbox: request {created.request_id}")
    httpx.post(
        f"{sandbox}/sandbox/requests/{created.request_id}/answer", json={"response_data": "Publish"}
    ).raise_for_status()
    return f"request.completed:{created.request_id}"


def _wait_until_handled(redis: Redis, key: str) -> EventRecord:
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        record = lookup.event(redis, key)
        if record is not None and record.finished_at is not None:
            return record
        if time.monotonic() > deadline:
            raise TimeoutError(f"{key} was not handled within {LONGEST_WAIT:.0f} s: {record}")
        time.sleep(0.02)


def _timeline(record: EventRecord) -> str:
    rows = [
        (record.received_at, "received", f"{record.content.variant}" if isinstance(record.content, Event) else ""),
        (record.received_at, "verified", _VERIFIED_BY[record.trust]),
        (record.accepted_at, "stored", f"in the inbox, {len(record.body)} bytes; answered 202"),
    ]
    if record.routed_at:
        rows.append((record.routed_at, "routed", "to " + ", ".join(effect.handler for effect in record.effects)))
    rows += [
        (effect.settled_at, effect.state, f"{effect.handler}, attempt {effect.attempts}")
        for effect in record.effects
        if effect.settled_at
    ]
    lines = [f"  {_ms(record.received_at, at):>9}  {name:<9} {detail}" for at, name, detail in rows]
    return "\n".join(lines)


def _ms(start: datetime, at: datetime) -> str:
    return f"{(at - start).total_seconds() * 1000:.1f} ms"


def _print_line(name: str, line: str) -> None:
    echo(f"{name:>9} | {line}")
