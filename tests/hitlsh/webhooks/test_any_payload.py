"""Whatever anybody sends is an event or unreadable, and no event claims what it cannot."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.event_json import decode_event, encode_event
from hitlsh.events import Event
from hitlsh.webhooks.parsing import event_from_request, parse

SAMPLES = Path(__file__).parents[2] / "samples"
BODIES = [(SAMPLES / name).read_bytes() for name in json.loads((SAMPLES / "index.json").read_bytes())]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted(set(re.findall(r'"(\w+)":', b"".join(BODIES).decode())) | {"metadata", "context", "response_by_user"})
WORDS = st.sampled_from(
    [
        "request.completed",
        "request.timeout",
        "request.claimed",
        "turn.resolved",
        "execution.completed",
        "timeout",
        "completed",
        "cancelled",
        "2026-05-04T09:07:30Z",
        "0001-01-01T00:00:00+14:00",
        "a@b",
        "",
        "\ud800",
        "x|y z",
    ]
)
FAMILIAR = st.recursive(
    JSON | WORDS, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6), max_leaves=30
)


def holds(body: bytes) -> None:
    read = parse(body)

    assert len(read.key) <= 256
    assert not re.search(r"[\s\x00-\x1f\x7f|]", read.key)
    if isinstance(read, Event):
        assert decode_event(encode_event(read)) == read
        assert (read.outcome is not None) == (read.name == f"request.{read.outcome}")
        assert read.source == "human" or read.reviewer is None or read.outcome is None
        assert read.outcome in {None, "completed"} or read.response is None


@pytest.mark.slow
@given(JSON)
def test_any_json_is_an_event_or_unreadable(value: Any) -> None:
    holds(json.dumps(value).encode())


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(KEYS), FAMILIAR, max_size=10))
def test_familiar_keys_with_any_values_are_an_event_or_unreadable(value: dict[str, Any]) -> None:
    holds(json.dumps(value).encode())
    event_from_request(value)


@given(st.binary())
def test_any_bytes_are_an_event_or_unreadable(body: bytes) -> None:
    holds(body)


def places(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from places(inner)


@pytest.mark.slow
@given(st.data(), st.sampled_from(BODIES), FAMILIAR, st.booleans())
def test_a_documented_form_with_one_key_lost_or_replaced_is_read_or_refused(
    data: st.DataObject, body: bytes, value: Any, lose: bool
) -> None:
    payload = json.loads(body)
    where, key = data.draw(st.sampled_from(list(places(payload))))

    if lose:
        del where[key]
    else:
        where[key] = value

    holds(json.dumps(payload).encode())
