"""Messages to real Apprise targets."""

import logging
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.json_server import JsonReceiver
from tests.ports import free_port
from tests.processes.programs import run
from workers.alarms import messenger
from workers.settings import Settings, SettingsInvalid

pytestmark = pytest.mark.slow

SECRET = "a-secret-path"


def test_a_message_reaches_its_target() -> None:
    with JsonReceiver() as receiver:
        sent = messenger.send([receiver.url], title="[critical] redis_full", body="Full.\nRaise it.", kind="failure")

    [message] = receiver.messages
    assert sent
    assert (message["title"], message["message"], message["type"]) == (
        "[critical] redis_full", "Full.\nRaise it.", "failure",
    )  # fmt: skip


def test_one_target_that_fails_or_is_slow_does_not_keep_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = f"json://127.0.0.1:{free_port()}/{SECRET}"
    with JsonReceiver(seconds=3.0) as slow, JsonReceiver() as receiver, caplog.at_level(logging.DEBUG):
        began = time.monotonic()
        sent = messenger.send(
            [refused, f"{slow.url}?rto=1", receiver.url, "nosuch://a-secret-path"],
            title="t", body="b", kind="warning",
        )  # fmt: skip

    assert sent
    assert len(receiver.messages) == 1
    assert time.monotonic() - began < messenger.SECONDS
    warned = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in warned] == [
        "alarms.not_sent entry=1 of=4 scheme=json result=failed",
        "alarms.not_sent entry=2 of=4 scheme=json result=failed",
        "alarms.not_sent entry=4 of=4 scheme=nosuch result=invalid",
    ]
    assert SECRET not in caplog.text


def test_a_sender_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messenger, "SECONDS", 3.0)
    with JsonReceiver(seconds=30.0) as receiver:
        began = time.monotonic()
        sent = messenger.send([f"{receiver.url}?rto=60"], title="t", body="b", kind="info")

        assert not sent
        assert time.monotonic() - began < 8.0


def test_settings_keep_urls_apart_and_secret() -> None:
    text = "mailto://u:p@example.com?to=a@example.com,b@example.com, json://h/secret\n slack://A/B/C"
    settings = Settings.from_env({"REDIS_URL": "redis://h", "HITL_ALERTS": text})

    assert [messenger.scheme(url) for url in settings.alerts] == ["mailto", "json", "slack"]
    assert settings.alerts[0].endswith("?to=a@example.com,b@example.com")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("text", ["hooks.example.com/secret", "json://", "https:secret"])
def test_an_invalid_url_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="HITL_ALERTS: entry 1 of 1 is no Apprise URL") as caught:
        Settings.from_env({"REDIS_URL": "redis://h", "HITL_ALERTS": text})

    assert "secret" not in str(caught.value)


def test_a_clock_refuses_urls_that_apprise_cannot_use(server: EmbeddedServer) -> None:
    environ = {"REDIS_URL": server.url, "HITL_ALERTS": "json://127.0.0.1/ok slack://a-secret-path nosuch://x"}

    result = CliRunner(env=environ).invoke(cli, ["clock"])

    assert result.exit_code == 2
    assert "HITL_ALERTS: Apprise cannot use entries 2, 3 of 3" in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize("command", ["clock", "serve"])
def test_without_the_extra_the_setting_says_which_one(server: EmbeddedServer, tmp_path: Path, command: str) -> None:
    without = Path(__file__).parents[2] / "processes" / "without_extras"
    environ = {
        "REDIS_URL": server.url,
        "HITL_ALERTS": "json://127.0.0.1/a-secret-path",
        "HITL_WEBHOOK_SECRETS": "a-secret-of-these-tests",
        "PYTHONPATH": f"{without}{os.pathsep}{Path(__file__).parents[3]}",
    }

    result = run(command, cwd=tmp_path, environ=environ)

    assert result.returncode == 2
    assert result.stderr.endswith(
        "HITL_ALERTS is set, and alarms are sent through Apprise, which is not installed: "
        "pip install 'hitl-receiver[alerts]'\n"
    )
