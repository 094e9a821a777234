"""Every documented body, and the bodies that are none."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hitlsh.event_json import decode_event, encode_event
from hitlsh.events import Unreadable
from hitlsh.webhooks.parsing import parse
from tests.hitlsh.bodies import ID, callback, event

SAMPLES = Path(__file__).parents[2] / "samples"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SAMPLES / "index.json").read_bytes())
#: The vendor's documented payloads, where a folder with them lies beside the repository.
SHARED = Path(__file__).parents[4] / "shared" / "hitl-api" / "payloads"
DOCUMENTED = sorted(file for file in SHARED.glob("*.json") if not file.name.startswith(("rest.", "signatures.")))


def test_every_sample_file_is_listed_and_every_listed_file_is_there() -> None:
    files = {file.name for file in SAMPLES.glob("*.json")} - {"index.json", "signatures.json"}

    assert files == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_documented_form_is_read_into_the_expected_fields(name: str) -> None:
    read = msgspec.to_builtins(event((SAMPLES / name).read_bytes()))

    for field, expected in EXPECTED[name].items():
        absent: object = [] if field == "labels" else None
        # As JSON, where False is not 0.
        assert json.dumps(read.get(field, absent)) == json.dumps(expected), field


@pytest.mark.parametrize("file", DOCUMENTED, ids=lambda file: file.name)
def test_the_vendors_own_example_is_recognised(file: Path) -> None:
    read = event(file.read_bytes())

    assert file.name.startswith(read.variant)
    assert read.name in file.name or read.variant in {"n8n-resume", "turn.resolved"}


@pytest.mark.parametrize("outcome", ["completed", "timeout", "cancelled"])
def test_one_end_of_one_request_has_one_key_in_every_form(outcome: str) -> None:
    named = (name for name, fields in EXPECTED.items() if fields.get("outcome") == outcome)

    keys = {event((SAMPLES / name).read_bytes()).key for name in named}

    assert keys == {f"request.{outcome}:{ID}"}


def test_the_vendors_examples_of_one_end_share_their_key() -> None:
    ends = [event(file.read_bytes()) for file in DOCUMENTED]

    by_request = {(read.request_id, read.outcome): read.key for read in ends if read.outcome}

    assert all(by_request[read.request_id, read.outcome] == read.key for read in ends if read.outcome)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"NaN",
        b'{"a": NaN}',
        b"[Infinity]",
        b'"\xff"',
        b'{"a":1}x',
        b"{'a':1}",
        b'"\xed\xa0\x80"',
    ],
)
def test_what_is_not_json_is_unreadable(body: bytes) -> None:
    read = parse(body)

    assert isinstance(read, Unreadable)
    assert read.reason == "not_json"
    assert re.fullmatch("unreadable:[0-9a-f]{64}", read.key)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"{}",
        b"5",
        b'"x"',
        b"true",
        b"1e999",
        b"9" * 5000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"request_id": "x"}',
        b'{"event": "request.completed", "request_id": 5, "status": "completed"}',
        b'{"event": "request.completed", "data": {"request": {"status": "completed"}}}',
        b'{"event": "request.completed", "data": {"loop_id": "x", "decision": "approved"}}',
        b'{"event": "request.completed", "execution_id": "x"}',
        b'{"event": "request.completed", "turn": {"id": "x", "human_decision": "approve"}}',
        b'{"event": null, "data": {"request": {"id": "x"}}}',
        b'{"event": "future.event", "data": []}',
        b'{"event": "x", "data": 5, "turn": 5, "review": 5, "execution_id": 5}',
    ],
)
def test_json_of_no_documented_form_is_unreadable(body: bytes) -> None:
    read = parse(body)

    assert isinstance(read, Unreadable)
    assert read.reason == "unknown_shape"


def test_a_deep_answer_is_quarantined_and_a_wide_one_is_read() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]

    assert isinstance(parse(json.dumps(callback(deep)).encode()), Unreadable)
    assert event(callback([[n] for n in range(100)])).response == [[n] for n in range(100)]


@pytest.mark.parametrize("answer", ["\ud800", "a\udfffb", {"\ud800": "\udc00"}, ["\ud800"]])
def test_half_a_surrogate_pair_is_replaced(answer: Any) -> None:
    read = event(json.dumps(callback(answer)).encode())

    assert "\ufffd" in json.dumps(read.response, ensure_ascii=False)
    assert decode_event(encode_event(read)) == read


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert event(b"\xef\xbb\xbf" + json.dumps(callback("Yes")).encode()).response == "Yes"


def test_of_two_equal_keys_the_last_counts() -> None:
    body = b'{"event":"request.completed","request_id":"a","request_id":"b","status":"completed"}'

    assert event(body).request_id == "b"
