"""The settings of `hitl-receiver dev`: what is set is used, and what is missing is generated once."""

from pathlib import Path

import pytest

from service.cli.development.dev_settings import prepare_settings
from service.cli.environment import DEV_SETTINGS, write_settings

WEBHOOK = "a-real-webhook-secret-of-hitl-sh"
CALLBACK = "a-callback-secret-that-is-set-01"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of `dev`, below an empty current folder, with no setting in the environment."""
    for name in ("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS", "HITL_API_KEY", "HITL_API_KEYS", "HITL_BASE_URL"):
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
