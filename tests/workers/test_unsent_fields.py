"""Without an API key, routes that read fields which a delivery may lack are named before anything runs."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hitlsh.events import Event
from hitlsh.samples.catalog import sample
from hitlsh.webhooks.parsing import parse
from service.cli.main import cli
from workers import Decision, Router, between
from workers.completion import CallbackState
from workers.decision import StoredEvent
from workers.routing.unsent_fields import DELIVERY_PATHS, DeliveryPath, unsent_fields
from workers.settings import Settings
from workers.startup_checks import unsent_field_warnings, warn_of_unsent_fields
from workers.testing import NOW

HANDLERS = """
from workers import Router

router = Router()


@router.on("request.completed", state={"order": 7}, metadata={"tier": "gold"})
def pay(decision): ...


@router.on("request.completed", response="Approve")
def note(decision): ...
"""
WITHOUT_KEY = Settings(redis_url="redis://127.0.0.1:1")
WITH_KEY = Settings(redis_url="redis://127.0.0.1:1", api_key="hitl_test_0123456789abcdef")
LOOP = "665f1c2ab3d4e5f6a7b8c9d0"


def pay(decision: Decision) -> None: ...


def fields_of(
    event: str = "request.completed", paths: tuple[DeliveryPath, ...] = DELIVERY_PATHS, **options: Any
) -> set[str]:
    router = Router()
    router.on(event, **options)(pay)
    return {name for one in unsent_fields(router.routes, paths) for name in one.fields}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"state": {"order": 7}}, {"state"}),
        ({"metadata": {"tier": "gold"}}, {"context"}),
        ({"loop": "Payouts"}, {"loop_name"}),
        ({"loop": ["Payouts", LOOP]}, {"loop_name"}),
        ({"reviewer": "Ada"}, {"reviewer.name"}),
        ({"reviewer": lambda reviewer: reviewer is not None}, {"reviewer.name"}),
        ({"response": lambda response: response == "v1"}, {"response"}),
        ({"response_type": "text"}, {"response_type"}),
        ({"when": lambda decision: True, "needs": ("question", "loop_id")}, {"question"}),
    ],
)
def test_a_field_that_some_delivery_lacks_is_named(options: dict[str, Any], fields: set[str]) -> None:
    assert fields_of(**options) == fields


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loop": LOOP},
        {"reviewer": "ada@example.com"},
        {"response": "Approve"},
        {"response": between(1, 2), "response_type": "rating"},
        {"outcome": "completed", "source": "human"},
        {"when": lambda decision: True},
    ],
)
def test_what_every_delivery_carries_is_not(options: dict[str, Any]) -> None:
    assert fields_of(**options) == set()


def test_only_the_channels_that_are_in_use_count() -> None:
    assert fields_of(state={"order": 7}, paths=("callback URL",)) == set()
    assert fields_of(loop="Payouts", paths=("account webhook",)) == set()


@pytest.mark.parametrize("outcome", ["completed", "timeout", "cancelled"])
@pytest.mark.parametrize(("path", "form"), [("callback URL", "callback-v2"), ("account webhook", "nested")])
def test_a_field_that_is_not_named_is_never_missing(path: DeliveryPath, form: str, outcome: str) -> None:
    """By the vendor's samples: what a decision of the form misses is what a route that reads all of it is told."""
    named = fields_of(
        "request.*",
        (path,),
        state={"order": 7}, metadata={"tier": "gold"}, loop="Payouts", reviewer="Ada", response=lambda response: True,
        response_type="text", when=lambda decision: True, needs=("default_response", "question"),
    )  # fmt: skip

    event = parse(sample(f"{form}.{outcome}"))

    assert isinstance(event, Event)
    callback = CallbackState(id="t", state={"order": 7}) if path == "callback URL" else None
    stored = StoredEvent(event=event, trust="signed", received_at=NOW, callback=callback)
    # No read tells whether a cancellation was refunded, so that no route can need it.
    assert set(Decision.from_stored(stored).missing) - {"refund_info"} <= named


def test_a_key_makes_the_warning_superfluous(caplog: pytest.LogCaptureFixture) -> None:
    router = Router()
    router.on("request.completed", state={"order": 7})(pay)
    caplog.set_level(logging.INFO, logger="hitl.reconcile")

    warn_of_unsent_fields(WITH_KEY, router)
    warn_of_unsent_fields(WITHOUT_KEY, router)

    [record] = caplog.records
    assert record.message == (
        "route.unsent_fields: pay reads state (only a callback URL carries it). Without HITL_API_KEY nobody can look "
        "up what a delivery lacks, and a condition on it does not hold: set HITL_API_KEY, or have the route read "
        "other fields"
    )


def test_the_settings_say_which_channels_are_in_use() -> None:
    router = Router()
    router.on("request.completed", state={"order": 7})(pay)
    by_callback = Settings(redis_url="redis://127.0.0.1:1", callback_secrets=("a-callback-secret-of-tests",))

    assert unsent_field_warnings(by_callback, router) == ()


def test_the_routes_command_warns_and_its_json_stays_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unsent_handlers.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(tmp_path)
    environ = {"HITL_HANDLERS": "unsent_handlers", "HITL_API_KEY": None, "HITL_API_KEYS": None}

    shown = CliRunner().invoke(cli, ["routes"], env=environ)
    as_json = CliRunner().invoke(cli, ["routes", "--json"], env=environ)

    assert (
        "WARNING  pay reads context (few deliveries carry it), state (only a callback URL carries it)." in shown.stderr
    )
    assert "note reads" not in shown.stderr
    assert [row["handler"] for row in json.loads(as_json.stdout)] == ["pay", "note"]
