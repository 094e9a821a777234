"""Every documented body, and every body nobody documented."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.events import Event, Unreadable
from hitlsh.payloads import decode_event, encode_event, event_from_request, parse

SAMPLES = Path(__file__).parents[1] / "samples"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SAMPLES / "index.json").read_bytes())
#: The vendor's documented payloads, where a folder with them lies beside the repository.
SHARED = Path(__file__).parents[3] / "shared" / "hitl-api" / "payloads"
DOCUMENTED = sorted(
    file for file in SHARED.glob("*.json") if not file.name.startswith(("rest.", "signatures."))
)
BODIES = [(SAMPLES / name).read_bytes() for name in EXPECTED]
ID = "7a10000000000000000000a1"


def event(body: bytes | dict[str, Any]) -> Event:
    read = parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(read, Event), read
    return read


def callback(response_data: Any = None, **changes: Any) -> dict[str, Any]:
    body = {"event": "request.completed", "request_id": ID, "status": "completed"}
    return body | {"response_data": response_data} | changes


def nested(**request: Any) -> dict[str, Any]:
    return {"event": "request.completed", "data": {"request": {"id": ID, "status": "completed"} | request}}


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
    "form",
    [
        callback({"selected_value": "Approve with Warning"}),
        callback({"selected_value": "approve_with_warning", "selected_label": "Approve with Warning"}),
        callback("approve_with_warning"),
        nested(response_data="Approve with Warning"),
        {"request_id": ID, "status": "completed", "response": "Approve with warning"},
    ],
)
def test_one_answer_has_one_fingerprint_in_every_form(form: dict[str, Any]) -> None:
    bare = event(callback("Approve with Warning"))

    assert bare.fingerprint is not None
    assert re.fullmatch("[0-9a-f]{16}", bare.fingerprint)
    assert event(form).fingerprint == bare.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4, 4.0),
        ({"rating": 4, "rating_label": "Good"}, 4),
        ({"boolean": False, "boolean_label": "Keep"}, False),
        ({"selected_values": ["b", "a"]}, ["a", "b"]),
        ({"selected_values": ["a_b"], "selected_labels": ["A b"]}, ["A b"]),
        ({"x": 4, "y": [1]}, {"y": [1], "x": 4.0}),
    ],
)
def test_the_same_answer_is_not_a_conflict(one: Any, other: Any) -> None:
    assert event(callback(one)).fingerprint == event(callback(other)).fingerprint


def test_different_answers_have_different_fingerprints() -> None:
    answers = [True, False, 1, 0, "1", "", "yes", "no", "!", "?", [], ["yes"], 0.5, {}, {"x": 1}, "n" * 201]

    fingerprints = {event(callback(answer)).fingerprint for answer in answers}

    assert len(fingerprints) == len(answers)
    assert None not in fingerprints


def test_prose_is_compared_as_it_stands() -> None:
    prose = "Ship it. " * 30

    assert event(callback(prose)).fingerprint != event(callback(prose.upper())).fingerprint


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"selected_value": "opt_1", "selected_label": "Publish"},
        {"selected_values": ["opt_1"], "selected_labels": ["Publish"]},
        {"selected_value": None},
    ],
)
def test_an_answer_that_no_other_form_could_match_has_no_fingerprint(answer: Any) -> None:
    assert event(callback(answer)).fingerprint is None


@pytest.mark.parametrize("answer", [False, 0, 0.0, "", []])
def test_a_falsy_answer_is_an_answer(answer: Any) -> None:
    read = event(callback(answer))

    assert read.response is not None
    assert json.dumps(read.response) == json.dumps(answer)
    assert read.fingerprint is not None
    assert read.source == "human"


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("timed_out", "timeout"),
        ("Timed Out", "timeout"),
        ("expired", "timeout"),
        ("TIMEOUT", "timeout"),
        ("canceled", "cancelled"),
        ("answered", "completed"),
        ("Resolved", "completed"),
    ],
)
def test_an_alias_of_a_status_ends_the_request(word: str, outcome: str) -> None:
    read = event(callback("Yes", status=word))

    assert (read.status, read.outcome, read.name) == (outcome, outcome, f"request.{outcome}")


@pytest.mark.parametrize(
    "word", ["pending", "claimed", "In Review", "escalated", "failed", "completed!", "…"]
)
def test_a_word_that_ends_nothing_is_never_called_an_end(word: str) -> None:
    read = event(callback("Yes", status=word))

    assert read.outcome is read.source is read.response is read.fingerprint is None
    assert read.status == word
    assert read.name not in {"request.completed", "request.timeout", "request.cancelled"}
    assert not read.key.startswith("request.completed:")


@pytest.mark.parametrize("status", [None, "", 5, [], {}])
def test_without_a_status_the_event_name_tells_it(status: Any) -> None:
    read = event(callback("Yes", status=status))

    assert (read.outcome, read.status, read.source) == ("completed", "completed", "human")


def test_the_status_is_believed_over_the_event_name() -> None:
    read = event(callback({"selected_value": "Yes"}, event="request.completed", status="cancelled"))

    assert (read.name, read.outcome, read.response) == ("request.cancelled", "cancelled", None)


def test_a_response_filled_in_on_timeout_is_the_default_and_nobodys_answer() -> None:
    read = event(callback({"boolean": False}, status="timeout", response_by={"user_id": "u", "name": "N"}))

    assert read.response is None
    assert read.reviewer is None
    assert read.source == "vendor_default"
    assert read.default_response is False


def test_a_default_of_its_own_is_kept_on_timeout() -> None:
    read = event(nested(status="timeout", default_response=0, response_data="Hold"))

    assert read.default_response == 0


def test_the_reviewers_forms_are_merged() -> None:
    body = nested(response_by="u1", response_by_user={"id": "u1", "name": "Odile"})
    body["data"]["reviewer"] = {"user_id": "u1", "email": "odile@example.net"}

    read = event(body)

    assert msgspec.to_builtins(read.reviewer) == {"id": "u1", "name": "Odile", "email": "odile@example.net"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-05-04T09:07:30Z", "2026-05-04T09:07:30Z"),
        ("2026-05-04T09:07:30.25Z", "2026-05-04T09:07:30.250000Z"),
        ("2026-05-04T09:07:30.123456789Z", "2026-05-04T09:07:30.123456Z"),
        ("2026-05-04T11:07:30+02:00", "2026-05-04T09:07:30Z"),
        ("2026-05-04T09:07:30", "2026-05-04T09:07:30Z"),
        ("0001-01-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("2" * 100_000, None),
        (1_770_000_000, None),
        ([], None),
    ],
)
def test_a_time_is_aware_utc_or_none(written: Any, read: str | None) -> None:
    occurred_at = event(callback("Yes", response_at=written)).occurred_at

    assert msgspec.to_builtins(occurred_at) == read


@pytest.mark.parametrize(
    "request_id", [f"{ID} x", "a|b", "a\nb", "\u00a0", "\x00", "x" * 105, "x" * 1_000_000]
)
def test_an_odd_id_is_kept_and_its_digest_stands_in_the_key(request_id: str) -> None:
    read = event(callback("Yes", request_id=request_id))

    assert re.fullmatch("request.completed:[0-9a-f]{64}", read.key)
    assert len(read.request_id or "") >= len(request_id)


def test_a_claim_may_be_repeated_and_each_has_its_key() -> None:
    first, again = (callback(event="request.claimed", status="claimed", claimed_at=at) for at in ("T1", "T2"))

    assert event(first).key == f"request.claimed:{ID}:T1"
    assert event(again).key == f"request.claimed:{ID}:T2"


def test_what_may_be_repeated_and_has_no_time_is_known_by_its_body() -> None:
    one, other = (callback(event="request.escalated", status=None, to=to) for to in ("a", "b"))

    assert event(one).key == event(one).key
    assert event(one).key != event(other).key


def test_a_colon_in_an_event_name_cannot_imitate_an_outcomes_key() -> None:
    read = event(callback(event=f"request.completed:{ID}", status="odd"))

    assert not read.key.startswith("request.completed:")


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


def test_a_huge_number_survives() -> None:
    read = event(callback({"number": 10**30}))

    assert read.response == 10**30
    assert decode_event(encode_event(read)) == read


def test_of_two_equal_keys_the_last_counts() -> None:
    body = b'{"event":"request.completed","request_id":"a","request_id":"b","status":"completed"}'

    assert event(body).request_id == "b"


# The API's request objects.


def request(**changes: Any) -> dict[str, Any]:
    given = {"id": ID, "loop_id": "l", "status": "completed", "response_type": "single_select"}
    return (
        given
        | {"response_data": "Ship with Insurance", "response_by": "u", "context": {"order": 88}}
        | changes
    )


def test_a_request_of_the_api_is_the_same_event_as_its_webhook() -> None:
    webhook = event((SAMPLES / "callback-v2.completed.single_select.json").read_bytes())

    found = event_from_request(request())

    assert found is not None
    assert (found.key, found.fingerprint) == (webhook.key, webhook.fingerprint)
    assert (found.variant, found.response, found.metadata) == ("api", webhook.response, {"order": 88})


@pytest.mark.parametrize(
    ("word", "name"), [("timed_out", "request.timeout"), ("cancelled", "request.cancelled")]
)
def test_an_unanswered_request_of_the_api_tells_no_answer(word: str, name: str) -> None:
    found = event_from_request(request(status=word, updated_at="2026-05-04T10:00:00Z"))

    assert found is not None
    assert (found.name, found.response, found.reviewer) == (name, None, None)
    assert found.key == f"{name}:{ID}"
    assert found.occurred_at is not None


@pytest.mark.parametrize("changes", [{"status": "pending"}, {"status": "odd"}, {"status": None}, {"id": 5}])
def test_a_request_of_the_api_that_has_not_ended_is_no_event(changes: dict[str, Any]) -> None:
    assert event_from_request(request(**changes)) is None


def test_notes_that_nest_too_deep_do_not_hide_an_outcome() -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"deeper": deep}

    found = event_from_request(request(context=deep))

    assert found is not None
    assert found.metadata is None


def test_the_vendors_own_request_object_is_read() -> None:
    file = SHARED / "rest.get-request.completed.200.json"
    if not file.exists():
        return

    found = event_from_request(json.loads(file.read_bytes())["data"]["request"])

    assert found is not None
    assert found.response == "Publish"


# Whatever anybody sends.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted(
    set(re.findall(r'"(\w+)":', b"".join(BODIES).decode())) | {"metadata", "context", "response_by_user"}
)
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


@given(JSON)
def test_any_json_is_an_event_or_unreadable(value: Any) -> None:
    holds(json.dumps(value).encode())


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
