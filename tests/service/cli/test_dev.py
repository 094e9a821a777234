"""The settings of `hitl-receiver dev`: what is set is used, and what is missing is generated once."""

from pathlib import Path

import pytest

from service.cli.development.dev_settings import prepare_settings, shared_settings
from service.cli.environment import DEV_SETTINGS, read_dev_settings, write_settings

WEBHOOK = "a-real-webhook-secret-of-hitl-sh"
CALLBACK = "a-callback-secret-that-is-set-01"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of `dev`, below an empty current folder, with no setting in the environment."""
    for name in (
        "HITL_WEBHOOK_SECRETS",
        "HITL_CALLBACK_SECRETS",
        "HITL_API_KEY",
        "HITL_API_KEYS",
        "HITL_BASE_URL",
        "HITL_TOKENS",
        "HITL_ALERTS",
        "HITL_MAX_BODY",
        "REDIS_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".hitl"


def secrets_of(folder: Path) -> tuple[str, str]:
    """The webhook secret and the callback secret."""
    environ = prepare_settings(folder, 8000, "handlers")
    return environ["HITL_WEBHOOK_SECRETS"], environ["HITL_CALLBACK_SECRETS"]


def test_missing_secrets_are_generated(folder: Path) -> None:
    webhook, callback = secrets_of(folder)

    assert min(len(webhook), len(callback)) >= 32
    assert webhook != callback


def test_a_secret_that_is_set_is_used_and_the_other_one_is_generated(folder: Path) -> None:
    Path(".env").write_text(f"HITL_WEBHOOK_SECRETS={WEBHOOK}\nHITL_CALLBACK_SECRETS=\n")

    webhook, callback = secrets_of(folder)

    assert webhook == WEBHOOK
    assert len(callback) >= 32


def test_secrets_that_are_set_replace_stored_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_of(folder)
    write_settings(folder / DEV_SETTINGS, {"HITL_WEBHOOK_SECRETS": "stored-1", "HITL_CALLBACK_SECRETS": "stored-2"})
    stored = secrets_of(folder)
    monkeypatch.setenv("HITL_CALLBACK_SECRETS", CALLBACK)

    assert stored == ("stored-1", "stored-2")
    assert secrets_of(folder) == ("stored-1", CALLBACK)


def test_a_token_is_generated_once_for_programs_that_ask(folder: Path) -> None:
    Path(".env").write_text("HITL_API_KEY=hitl_a_key_of_the_tests_01\n")

    environ = prepare_settings(folder, 8000, "handlers")
    write_settings(folder / DEV_SETTINGS, environ)

    assert environ["HITL_TOKENS"] == f"dev:{environ['HITL_RECEIVER_TOKEN']}"
    assert (environ["HITL_RECEIVER_URL"], len(environ["HITL_RECEIVER_TOKEN"]) >= 32) == ("http://127.0.0.1:8000", True)
    assert prepare_settings(folder, 8000, "handlers")["HITL_TOKENS"] == environ["HITL_TOKENS"]


def test_tokens_that_are_set_are_used(folder: Path) -> None:
    Path(".env").write_text("HITL_API_KEY=hitl_a_key_of_the_tests_01\nHITL_TOKENS=agent:a-token-of-the-tests-01\n")

    environ = prepare_settings(folder, 8000, "handlers")

    assert environ["HITL_TOKENS"] == "agent:a-token-of-the-tests-01"
    assert "HITL_RECEIVER_TOKEN" not in environ


def test_commands_in_another_terminal_have_the_settings_of_the_stack(folder: Path) -> None:
    alerts, redis_url = "json://127.0.0.1:9/alarms", "redis://127.0.0.1:1/0"
    Path(".env").write_text(f"HITL_ALERTS={alerts}\nHITL_MAX_BODY=2048\nHITL_LOG_FORMAT=json\nREDIS_URL={redis_url}\n")

    write_settings(folder / DEV_SETTINGS, shared_settings(prepare_settings(folder, 8000, "handlers"), None))

    found = read_dev_settings(folder)
    assert [found[name] for name in ("HITL_ALERTS", "HITL_MAX_BODY", "REDIS_URL")] == [alerts, "2048", redis_url]
    assert found.keys().isdisjoint({"HITL_LOG_FORMAT", "HITL_LOG_LEVEL"})


def test_without_an_api_key_nobody_asks(folder: Path) -> None:
    Path(".env").write_text("HITL_BASE_URL=https://api.hitl.sh/v1\n")

    assert "HITL_TOKENS" not in prepare_settings(folder, 8000, "handlers")
