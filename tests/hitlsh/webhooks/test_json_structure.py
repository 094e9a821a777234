"""What a body may cost to read: never more than some milliseconds, whatever it holds."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.event_json import encode_event
from hitlsh.events import Event, Unreadable
from hitlsh.webhooks.json_structure import LARGEST_STRUCTURE, is_too_large, nests_within
from hitlsh.webhooks.parsing import parse
from tests.hitlsh.bodies import callback, event

LARGEST_BODY = 1 << 20
HEAD = b'{"event":"request.completed","request_id":"a","status":"completed","response_data":'
NOTES = HEAD + b'1,"metadata":{"a":['
#: Seconds of CPU; before structure was bounded, most of the bodies below took 0.1 to 0.9.
MOST_SECONDS = 0.1


def filled(begin: bytes, unit: bytes, end: bytes) -> bytes:
    """As many units as the largest body holds."""
    times = (LARGEST_BODY - len(begin) - len(end)) // (len(unit) + 1)
    return begin + b",".join([unit] * times) + end


def keyed(begin: bytes, value: bytes, end: bytes) -> bytes:
    unit = len(value) + 10
    times = (LARGEST_BODY - len(begin) - len(end)) // unit
    return begin + b",".join(b'"%06x":%s' % (number, value) for number in range(times)) + end


SLOW: dict[str, Callable[[], bytes]] = {
    "lists": lambda: filled(NOTES, b"[]", b"]}}"),
    "lists in an answer": lambda: filled(HEAD + b"[", b"[]", b"]}"),
    "lists in lists": lambda: filled(NOTES, b"[" * 58 + b"]" * 58, b"]}}"),
    "too deep": lambda: filled(NOTES, b"[" * 100 + b"]" * 100, b"]}}"),
    "numbers": lambda: filled(HEAD + b"[", b"1", b"]}"),
    "slow floats": lambda: filled(NOTES, b"2.4703282292062328207299439634110764959e-324", b"]}}"),
    "slow long floats": lambda: filled(NOTES, b"2.47032822920623272" + b"0" * 750 + b"1e-324", b"]}}"),
    "big numbers": lambda: filled(NOTES, b"9" * 4_000, b"]}}"),
    "options": lambda: filled(HEAD + b"[", b'"ab"', b"]}"),
    "labels": lambda: filled(HEAD + b'{"selected_values":["a"],"selected_labels":[', b'"a"', b"]}}"),
    "keys": lambda: keyed(HEAD + b"1,", b"0", b"}"),
    "keys of an answer": lambda: keyed(HEAD + b"{", b"{}", b"}}"),
    "half surrogates": lambda: HEAD + b'"' + b"\\ud800x" * 149_000 + b'"}',
    "half surrogates and lists": lambda: filled(HEAD + b'"\\ud800","metadata":{"a":[', b"[]", b"]}}"),
    "a mark and lists": lambda: filled(b"\xef\xbb\xbf" + NOTES, b"[]", b"]}}"),
    "escapes": lambda: HEAD + b'"' + b"\\\\" * 524_000 + b'"}',
    "escaped quotes": lambda: HEAD + b'"' + b'\\"' * 524_000 + b'"}',
    "an error at its end": lambda: filled(NOTES, b"[]", b"]}}x"),
    "no object": lambda: filled(b"[", b"{}", b"]"),
}


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three: what other programs on the machine cost does not count."""
    return min(_cpu_seconds(work) for _ in range(3))


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


@pytest.mark.parametrize("made", SLOW.values(), ids=SLOW)
def test_a_body_made_to_be_slow_is_not(made: Callable[[], bytes]) -> None:
    body = made()
    assert len(body) <= LARGEST_BODY

    def read() -> None:
        content = parse(body)
        if isinstance(content, Event):
            encode_event(content)

    assert cpu_seconds(read) < MOST_SECONDS


@pytest.mark.parametrize(
    ("unit", "end"), [(b"1", b"]}}"), (b"[]", b"]}}"), (b'""', b"]}}"), (b"2.4703282292062328207e-324", b"]}}")]
)
def test_the_largest_structure_that_is_read_is_not_slow_either(unit: bytes, end: bytes) -> None:
    outside = len(unit.strip(b'"')) + 1
    body = NOTES + b",".join([unit] * ((LARGEST_STRUCTURE - 100) // outside)) + end

    assert cpu_seconds(lambda: parse(body)) < MOST_SECONDS
    assert isinstance(parse(body), Event)


@pytest.mark.parametrize(
    "words", ["Lorem ipsum, dolor. ", "1,2,\n", "[{,:", '{"a": [1, "\\"]}, ', "\\\\", '"', "é", "\\", '\\"']
)
def test_a_long_text_is_read_whatever_it_holds(words: str) -> None:
    text = (words * 1_000_000)[:300_000]

    assert event(callback(text)).response == text


def test_many_notes_of_usual_length_are_read() -> None:
    notes = {f"field_{number}": "some words of an asker" for number in range(10_000)}

    assert event(callback("Yes", metadata=notes)).metadata == notes


def test_a_structure_that_is_too_large_is_unreadable() -> None:
    wide = json.dumps(callback("Yes", metadata={"a": [0] * LARGEST_STRUCTURE})).encode()

    read = parse(wide)

    assert isinstance(read, Unreadable)
    assert read.reason == "unknown_shape"


def test_blanks_are_no_structure() -> None:
    assert event(json.dumps(callback("Yes"), indent=50_000).encode()).response == "Yes"


@pytest.mark.parametrize("body", [b"0" * 100_000, b"x" * 100_000, b"\xff" * 100_000, b"a=b&" * 50_000])
def test_a_large_body_that_is_no_json_is_not_json(body: bytes) -> None:
    read = parse(body)

    assert isinstance(read, Unreadable)
    assert read.reason == "not_json"


def test_the_same_large_answer_is_the_same_in_every_form() -> None:
    options = [f"option {number}" for number in range(3_000)]

    assert event(callback(options)).fingerprint == event(callback({"selected_values": options})).fingerprint
    assert event(callback(options)).fingerprint != event(callback(options[1:])).fingerprint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def outside_of_strings(value: Any) -> int:
    """Counted the slow way: what is left when every string is empty, without its quotes."""
    if isinstance(value, str):
        return 0
    if isinstance(value, list):
        return 2 + sum(map(outside_of_strings, value)) + max(0, len(value) - 1)
    if isinstance(value, dict):
        return 2 + sum(1 + outside_of_strings(item) for item in value.values()) + max(0, len(value) - 1)
    return len(json.dumps(value))


@given(JSON, st.booleans(), st.sampled_from([None, 3]))
def test_what_is_outside_of_strings_is_counted_exactly(value: Any, ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    room = LARGEST_STRUCTURE - outside_of_strings(value) - 3  # the list around both, and its comma

    assert not is_too_large(b"[" + written + b"," + b"1" * room + b"]" + b" " * LARGEST_STRUCTURE)
    assert is_too_large(b"[" + written + b"," + b"1" * (room + 1) + b"]" + b" " * LARGEST_STRUCTURE)


def recursive(value: Any, levels: int) -> bool:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(recursive(item, levels - 1) for item in items)
    return True


@given(JSON, st.integers(0, 6))
def test_depth_is_that_of_the_deepest_container(value: Any, levels: int) -> None:
    assert nests_within(value, levels) == recursive(value, levels)
