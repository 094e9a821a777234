"""Requests of the API, which must tell what their webhooks tell."""

import json
from pathlib import Path
from typing import Any

import pytest

from hitlsh.webhooks.parsing import event_from_request
from tests.hitlsh.bodies import ID, event

SAMPLES = Path(__file__).parents[2] / "samples"
#: The vendor's documented payloads, where a folder with them lies beside the repository.
SHARED = Path(__file__).parents[4] / "shared" / "hitl-api" / "payloads"
WHOLE = list(SHARED.glob("rest.get-request.completed.200.json"))


def request(**changes: Any) -> dict[str, Any]:
    given = {"id": ID, "loop_id": "l", "status": "completed", "response_type": "single_select"}
    return given | {"response_data": "Ship with Insurance", "response_by": "u", "context": {"order": 88}} | changes


def test_a_request_of_the_api_is_the_same_event_as_its_webhook() -> None:
    webhook = event((SAMPLES / "callback-v2.completed.single_select.json").read_bytes())

    from_api = event_from_request(request())

    assert from_api is not None
    assert (from_api.key, from_api.fingerprint) == (webhook.key, webhook.fingerprint)
    assert (from_api.variant, from_api.response, from_api.metadata) == ("api", webhook.response, {"order": 88})


@pytest.mark.parametrize(("word", "name"), [("timed_out", "request.timeout"), ("cancelled", "request.cancelled")])
def test_an_unanswered_request_of_the_api_tells_no_answer(word: str, name: str) -> None:
    from_api = event_from_request(request(status=word, updated_at="2026-05-04T10:00:00Z"))

    assert from_api is not None
    assert (from_api.name, from_api.response, from_api.reviewer) == (name, None, None)
    assert from_api.key == f"{name}:{ID}"
    assert from_api.occurred_at is not None


@pytest.mark.parametrize("changes", [{"status": "pending"}, {"status": "odd"}, {"status": None}, {"id": 5}])
def test_a_request_of_the_api_that_has_not_ended_is_no_event(changes: dict[str, Any]) -> None:
    assert event_from_request(request(**changes)) is None


def test_notes_that_nest_too_deep_do_not_hide_an_outcome() -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"deeper": deep}

    from_api = event_from_request(request(context=deep))

    assert from_api is not None
    assert from_api.metadata is None


@pytest.mark.parametrize("file", WHOLE, ids=lambda file: file.name)
def test_the_vendors_own_request_object_is_read(file: Path) -> None:
    from_api = event_from_request(json.loads(file.read_bytes())["data"]["request"])

    assert from_api is not None
    assert from_api.response == "Publish"
