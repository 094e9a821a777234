"""Checks of workers and clocks before they start."""

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli.main import cli
from workers import Router
from workers.settings import Settings, SettingsInvalid
from workers.startup_checks import check_confirmation_is_possible, warn_if_nothing_is_reconciled

WITHOUT_KEY = Settings(redis_url="redis://127.0.0.1:1")
WITH_KEY = Settings(redis_url="redis://127.0.0.1:1", api_key="hitl_test_0123456789abcdef")
CAREFUL = """
from workers import Router

router = Router()


@router.on("request.completed", trust="confirmed")
def pay(decision): ...


@router.on("request.timeout", trust="confirmed")
def release(decision): ...


@router.on("request.completed")
def note(decision): ...
"""


def start(*words: str, handlers: str) -> Result:
    return CliRunner().invoke(
        cli, words, env={"REDIS_URL": "redis://127.0.0.1:1", "HITL_HANDLERS": handlers, "HITL_API_KEY": None}
    )


def pay(_decision: object) -> None: ...


def router(trust: str | None) -> Router:
    made = Router()
    if trust is None:
        made.on("request.completed")(pay)
    else:
        made.on("request.completed", trust=trust)(pay)
    return made


def test_handlers_that_demand_confirmation_need_an_api_key() -> None:
    with pytest.raises(SettingsInvalid, match="HITL_API_KEY is not set, and pay may have to wait"):
        check_confirmation_is_possible(WITHOUT_KEY, router("confirmed"))


@pytest.mark.parametrize(("settings", "trust"), [(WITH_KEY, "confirmed"), (WITHOUT_KEY, None), (WITHOUT_KEY, "signed")])
def test_other_handlers_start_without_an_api_key(settings: Settings, trust: str | None) -> None:
    check_confirmation_is_possible(settings, router(trust))


@pytest.mark.parametrize("processes", ["1", "3"])
def test_work_refuses_to_start_and_names_the_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    (tmp_path / "careful_handlers.py").write_text(CAREFUL)
    monkeypatch.syspath_prepend(tmp_path)

    told = start("work", "--processes", processes, handlers="careful_handlers")

    assert told.exit_code == 2
    assert told.stderr.startswith(
        "hitl-receiver cannot start:\n  - HITL_API_KEY is not set, and pay and release may have to wait"
    )


def test_without_an_api_key_one_log_line_says_that_nothing_is_reconciled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hitl.reconcile")

    warn_if_nothing_is_reconciled(WITH_KEY)
    warn_if_nothing_is_reconciled(WITHOUT_KEY)

    assert [record.message for record in caplog.records] == [
        "reconcile.off: HITL_API_KEY is not set, so nothing that the webhooks miss is looked for"
    ]
