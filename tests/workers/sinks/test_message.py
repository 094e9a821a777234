"""Messages to sinks fit their schema."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hitlsh.events import Event, Reviewer
from hitlsh.samples.catalog import SAMPLES, sample
from hitlsh.webhooks.parsing import parse
from workers.decision import Decision, StoredEvent
from workers.sinks.message import Message
from workers.testing import cancelled, claimed, completed, decision, timed_out

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs/decision.schema.json").read_text())
SHARED = ROOT.parent / "shared/hitl-api/payloads"
PAYLOADS = [
    path
    for folder in (ROOT / "tests/samples", SHARED)
    for path in sorted(folder.glob("*.json"))
    if path.name not in {"index.json", "signatures.json"} and not path.name.startswith("rest.")
]
KINDS = {
    "approved": completed("Approve", state={"invoice": 7}, metadata={"tier": "gold"}, loop_name="Payouts"),
    "false": completed(False), "zero": completed(0), "empty": completed("", response_type="text"),
    "none chosen": completed([], response_type="multi_select"), "labelled": completed("ok", labels=("It is ok",)),
    "object": completed({"shape": "unknown"}), "nobody named": completed(reviewer=Reviewer()),
    "timed out": timed_out("Reject"), "timed out without": timed_out(), "cancelled": cancelled(),
    "claimed": claimed(late=True), "overruled": completed(conflict=True, trust="confirmed"),
    "of a loop": decision(event="loop.created", loop_id="l1"), "of nothing": decision(event="system.error"),
    "with a falsy state": completed(state=False), "with a bare name": completed(loop_id=None, loop_name="Payouts"),
}  # fmt: skip


def sent(made: Decision) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Message.of(made, target="it").body)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(body)
    return body


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_decision_fits_the_schema(kind: str) -> None:
    made, body = KINDS[kind], sent(KINDS[kind])

    assert list(body) == SCHEMA["required"] == list(SCHEMA["properties"])
    assert (body["type"], body["response"], body["state"]) == (made.event, made.response, made.state)
    assert (body["outcome"], body["source"], body["trust"]) == (made.outcome, made.source, made.trust)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.name)
def test_every_payload_form_becomes_a_body_that_fits_the_schema(path: Path) -> None:
    event = parse(path.read_bytes())
    if isinstance(event, Event):
        assert sent(_made(event))["event_key"] == event.key


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_becomes_a_body_that_fits_the_schema(name: str) -> None:
    event = parse(sample(name))

    assert isinstance(event, Event)
    assert sent(_made(event))["type"] == event.name


@pytest.mark.parametrize("answer", [False, 0, "", []])
def test_a_falsy_answer_keeps_its_type(answer: Any) -> None:
    assert json.dumps(sent(completed(answer))["response"]) == json.dumps(answer)


def test_a_timeout_is_never_an_answer() -> None:
    body = sent(timed_out("Reject"))

    assert (body["response"], body["default_response"], body["source"]) == (None, "Reject", "vendor_default")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body | {"response": "Reject"}, SCHEMA)


def test_the_id_is_the_same_in_every_process() -> None:
    made = completed(event_key="request.completed:1")

    assert Message.of(made, target="it").id == "msg_0cbf2d8eeb10fee7f2b4961175461f88"
    assert Message.of(made, target="it").id != Message.of(made, target="other").id


def _made(event: Event) -> Decision:
    return Decision.from_stored(StoredEvent(event=event, trust="signed", received_at=datetime(2026, 3, 1, tzinfo=UTC)))
