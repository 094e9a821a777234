"""The README's code runs, and what it says of settings and commands is so."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from workers import Router
from workers.inbox.tracker import tracked_requests
from workers.settings import Settings
from workers.testing import completed, timed_out

README = (Path(__file__).parent.parent / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def names() -> dict[str, Any]:
    """The README's Python, top to bottom, as one module."""
    found: dict[str, Any] = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), found)
    return found


def test_a_first_handler_stands_by_line_30() -> None:
    assert "async def pay_out" in "\n".join(README.splitlines()[:30])


def test_its_code_runs(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    router: Router = names["router"]

    approved, *to_sinks = router.match(completed("Approve", state={"invoice": 7}))
    released, *_ = router.match(timed_out())

    assert (approved.name, released.name, len(to_sinks)) == ("pay_out", "release", 2)
    asyncio.run(approved.handler(completed("Approve", state={"invoice": 7})))  # type: ignore[arg-type]
    assert "approved 7" in capsys.readouterr().out


def test_its_asking_asks(
    names: dict[str, Any], redis: Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox() as sandbox:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.setenv("HITL_API_KEY", "hitl_test_of_the_readme_0123456789abcdef")
        monkeypatch.setenv("HITL_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("HITL_CALLBACK_SECRETS", "a-callback-key-of-these-tests-01")
        monkeypatch.setenv("HITL_PUBLIC_URL", "https://hooks.example.com")
        with Client("hitl_test_of_the_readme_0123456789abcdef", base_url=sandbox.base_url) as client:
            loop = client.loops.create("Payouts", icon="key").loop
            sandbox.add_member(loop.id, "ann@example.com")

        request_id = names["ask_to_pay"](7, loop.id)

    [known] = tracked_requests.load(redis).values()
    assert known.request.id == request_id
    assert known.callback is not None
    assert known.callback.state == {"invoice": 7}


def test_its_handler_that_demands_confirmation_waits_for_it(names: dict[str, Any]) -> None:
    posted = completed("Approve", state={"invoice": 7}, trust="callback")

    assert [wait.route.name for wait in names["router"].waits(posted)] == ["wire_money"]


def test_its_callback_url_is_one(names: dict[str, Any]) -> None:
    token = names["url"].rsplit("/", 1)[1]

    assert names["signer"].read(token).state == {"invoice": 7}


def test_every_setting_it_names_is_read() -> None:
    named = set(re.findall(r"`((?:HITL|REDIS)_[A-Z_]+)`", README)) - {"HITL_LOG_LEVEL"}
    source = (Path(__file__).parent.parent / "workers" / "settings.py").read_text()

    assert named == set(re.findall(r'reader\.\w+\(\s*"([A-Z_]+)"', source))


def test_its_defaults_are_the_settings_defaults() -> None:
    settings = Settings.from_env({"REDIS_URL": "redis://localhost"})

    for value in (settings.max_body, settings.retention_days, settings.base_url):
        assert str(value) in README


def test_every_command_it_names_exists() -> None:
    for name in set(re.findall(r"hitl-receiver ([a-z][a-z-]+)", README)):
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0, name
