import json
import shutil
import subprocess
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from hitl_sandbox.json_text import encode, encode_delivery
from tests.hitl_sandbox.javascript import reserialise

NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70))
NAMES = st.one_of(st.text(max_size=5), st.integers(0, 2**33).map(str), st.sampled_from(["01", "-1", "1.0"]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=15,
)

SPELLINGS = [
    (12.0, "12"),
    (-0.0, "0"),
    (149.95, "149.95"),
    (1e-7, "1e-7"),
    (0.000001, "0.000001"),
    (1e20, "100000000000000000000"),
    (1e21, "1e+21"),
    (1.5e300, "1.5e+300"),
    (5e-324, "5e-324"),
    (2**53 + 1, "9007199254740992"),
    (10**400, "null"),
]


@pytest.mark.parametrize(("number", "text"), SPELLINGS, ids=[text for _, text in SPELLINGS])
def test_a_delivery_spells_numbers_as_javascript_does(number: float, text: str) -> None:
    assert encode_delivery([number]) == f"[{text}]"


def test_a_delivery_lists_array_indexes_first() -> None:
    assert encode_delivery({"b": 1, "10": 2, "2": 3, "01": 4}) == '{"2":3,"10":2,"b":1,"01":4}'


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(JSON)
def test_a_delivery_survives_a_round_trip_through_javascript(value: Any) -> None:
    text = encode_delivery(value)

    assert reserialise(text) == text


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_rules_agree_with_node() -> None:
    values = [{"n": number, "7": text, "x": "\x1f\u2028/<é🔥"} for number, text in SPELLINGS]
    text = encode_delivery(values)
    script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"

    printed = subprocess.run(["node", "-e", script], input=text.encode(), capture_output=True, check=True, timeout=60)

    assert printed.stdout.decode() == text == reserialise(text)


def test_a_reply_keeps_integers_that_javascript_cannot_hold() -> None:
    assert json.loads(encode({"id": 2**53 + 1, "whole": 3.0})) == {"id": 2**53 + 1, "whole": 3}
    assert b"3.0" not in encode({"whole": 3.0})
