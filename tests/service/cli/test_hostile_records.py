"""Commands print records that somebody made to steer a terminal."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.events import Event, Reviewer
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, payload, routed, settled
from tests.service.hostile import EVERY, FORGED, texts, unprintable
from workers.inbox.operations import pausing
from workers.inbox.worker_inbox import WorkerInbox
from workers.redis_clients import drain_client

KEY = "hitl_test_0123456789abcdef"
REQUEST = "66c0ffee00000000000000a1"


async def keep(url: str, text: str) -> None:
    """An event that holds the text wherever a sender or a handler may put it, and what cannot be read."""
    body = payload(metadata={text: text})
    content = Event(
        variant=text, name=text or "x", key="hostile", request_id=REQUEST, loop_id=text, loop_name=text, status=text,
        outcome="completed", source="human", response=text, response_type="single_select", labels=(text,),
        default_response=text, reviewer=Reviewer(id=text, name=text, email=text), metadata={text: text},
    )  # fmt: skip
    redis = drain_client(url)
    inbox = WorkerInbox(redis, retention=86_400, lease=15.0)
    await inbox.accept([
        delivery(body, content=content, callback_id="c", state={"text": text}),
        delivery(text.encode() + b"{"),
    ])  # fmt: skip
    for item in (await inbox.claim(10)).items:
        await inbox.report([routed(item, "pay:run,notify:run")])
        await inbox.report([settled(item, "failed", "pay", error=f"Traceback\nValueError: {text}")])
        await inbox.report([settled(item, "skipped", "notify", error=text)])
    await redis.aclose()


def run(server: EmbeddedServer, *words: str) -> Result:
    result = CliRunner().invoke(cli, words, env={"REDIS_URL": server.url, "HITL_API_KEY": None}, input="n\n")
    assert result.exception is None or isinstance(result.exception, SystemExit), words
    return result


COMMANDS = [
    ("events",),
    ("show", "hostile"),
    ("show", "hostile", "--body"),
    ("show", REQUEST),
    ("failed",),
    ("retry", "--all"),
    ("retry", "--all", "--dry-run"),
    ("discard", "--all", "--dry-run", "--reason", "x"),
    ("status",),
    ("requests",),
    ("webhook-health",),
    ("export",),
    ("export", "--format", "csv", "--personal-data"),
    ("stats",),
    ("resume", "pay"),
]
JSON_COMMANDS = [
    ("events", "--json"),
    ("show", "hostile", "--json"),
    ("show", "hostile", "--json", "--body"),
    ("failed", "--json"),
    ("retry", "--all", "--dry-run", "--json"),
    ("status", "--json"),
    ("requests", "--json"),
    ("export", "--personal-data"),
    ("stats", "--json"),
]


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts)
@example(EVERY)
@example("\n" + FORGED)
def test_no_record_controls_a_terminal(server: EmbeddedServer, redis: Redis, text: str) -> None:
    redis.flushall()
    asyncio.run(keep(server.url, text))
    pausing.pause(redis, f"handler{text}")

    for words in COMMANDS:
        output = run(server, *words).output
        assert not unprintable(output), words
        assert FORGED not in output.splitlines(), words
    for words in JSON_COMMANDS:
        output = run(server, *words).stdout
        assert not unprintable(output), words
        json.loads(output)
    [shown] = json.loads(run(server, "show", "hostile", "--json", "--body").stdout)
    assert shown["callback_state"] == {"text": text}
    assert shown["content"]["response"] == text


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=2) as running:
        yield running


@pytest.mark.parametrize("words", [("api", "loops"), ("api", "loops", "--json"), ("api", "get", "0" * 24)])
def test_text_from_the_api_does_not_control_a_terminal(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    environ = {"HITL_API_KEY": KEY, "HITL_BASE_URL": sandbox.base_url}
    name = EVERY.replace("\x00", "")[:90]
    with Client(KEY, base_url=sandbox.base_url) as client:
        client.loops.create(name, "lock")

    output = CliRunner().invoke(cli, words, env=environ).output

    assert not unprintable(output)
    if words[-1] == "--json":
        assert json.loads(output)[-1]["name"] == name


def test_an_error_of_redis_does_not_control_a_terminal(server: EmbeddedServer, redis: Redis) -> None:
    name = "\x1b[2J\u202estranger"
    redis.acl_setuser(name, enabled=True, nopass=True, categories=["-@all"])
    address = f"{server.url}?{urlencode({'username': name, 'password': 'x'})}"

    told = CliRunner().invoke(cli, ["status"], env={"REDIS_URL": address})

    redis.acl_deluser(name)
    assert told.exit_code == 2
    assert "has no permissions" in told.output
    assert not unprintable(told.output)
