import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import RouteInvalid
from workers.routing.conditions import between, compile_condition, compile_keys, describe_condition

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
RANGES = st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(lambda pair: between(pair[0], sum(pair)))
VALUES = SCALARS | RANGES
CONDITIONS = VALUES | st.lists(VALUES, min_size=1) | st.sets(SCALARS, min_size=1).map(frozenset)


def fits(condition: Any, value: Any) -> bool:
    return compile_condition(condition, "field")(value)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("Approve", "Approve"), (4, 4.0), (4.0, 4), (0, 0), (0, -0.0), (False, False), ("", ""),
        ([None], None),
        (["a", "b"], "b"), ({"a"}, "a"), ((1, True), True), (frozenset({2}), 2), (between(1, 5), 5),
        (between(1.5, math.inf), 1e9), (range(1, 5), 4), (range(1, 5), 4.0), (range(0, 10, 2), 8),
        ([between(1, 2), 9], 9), ("a", ["b", "a"]), (2, [1, 2]), (lambda value: value is None, None),
        (lambda value: len(value) == 2, ["a", "b"]),
    ],
)  # fmt: skip
def test_a_condition_holds_for(condition: Any, value: Any):
    assert fits(condition, value)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (True, 1), (1, True), (False, 0), (0, False), ("1", 1), ("approve", "Approve"), ("", None), (0, None),
        (False, None), (["a"], None), (between(0, 1), True), (range(2), True), (range(1, 5), 5),
        (range(1, 5), 2.5), (range(0, 10, 2), 3), (between(1, 5), 5.01), (between(1, 5), "3"), ("a", []),
        ([None], []), ([None], False), ("a", {"a": 1}), (1, [[1]]), (range(5), math.inf),
    ],
)  # fmt: skip
def test_a_condition_does_not_hold_for(condition: Any, value: Any):
    assert not fits(condition, value)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ([], "is empty"), (set(), "is empty"), (range(0), "is empty"), (math.nan, "NaN"),
        (b"a", "no condition"),
        ({"a": 1}, "no condition"), ([["a"]], "no condition"), (object(), "no condition"),
        ([lambda value: True], "no condition"), (iter("ab"), "no condition"), (bool, "is a class"),
        (lambda: True, "one argument"), (lambda value, other: True, "one argument"),
    ],
)  # fmt: skip
def test_a_condition_that_could_never_hold_is_refused(condition: Any, says: str):
    with pytest.raises(RouteInvalid, match=says):
        compile_condition(condition, "field")


async def _coroutine(value: Any) -> bool:
    return False


def _generator(value: Any) -> Any:
    yield False


@pytest.mark.parametrize("predicate", [_coroutine, _generator])
def test_a_predicate_whose_result_is_never_false_is_refused(predicate: Any):
    with pytest.raises(RouteInvalid, match="must be a plain `def`"):
        compile_condition(predicate, "field")


@pytest.mark.parametrize("bounds", [(2, 1), (math.nan, 1), (True, 2), ("a", "b"), (None, 1)])
def test_between_refuses_what_bounds_nothing(bounds: tuple[Any, Any]):
    with pytest.raises(RouteInvalid, match="between"):
        between(*bounds)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ({"tier": "gold"}, {"tier": "gold", "more": 1}),
        ({"tier": ["gold", "silver"], "age": between(18, 99)}, {"tier": "silver", "age": 40}),
        ({"customer": {"tier": "gold"}}, {"customer": {"tier": "gold"}}),
        ({"tags": "vip"}, {"tags": ["new", "vip"]}),
        ({"gone": None}, {"other": 1}),
        ({"flag": False}, {"flag": False}),
        (lambda value: "tier" in value, {"tier": 1}),
    ],
)
def test_keys_hold_for(keys: Any, value: Any):
    assert compile_keys(keys, "metadata")(value)


@pytest.mark.parametrize("value", [None, {}, {"tier": None}, {"tier": "gold"}, {"age": 5}, "gold", ["tier"], 5])
def test_all_keys_must_hold(value: Any):
    assert not compile_keys({"tier": "gold", "age": 5}, "metadata")(value)


@pytest.mark.parametrize("keys", [{}, "gold", None, {1: "a"}, {"a": []}, {"a": {"b": set()}}])
def test_keys_that_could_never_hold_are_refused(keys: Any):
    with pytest.raises(RouteInvalid, match="metadata"):
        compile_keys(keys, "metadata")


def test_a_condition_is_described_on_one_short_line():
    assert describe_condition({"b", "a"}) == "['a', 'b']"
    assert describe_condition(between(1, 2.5)) == "between(1, 2.5)"
    assert describe_condition(lambda value: True) == "lambda"
    assert len(describe_condition(["x" * 50] * 50)) == 60


@given(CONDITIONS, JSON)
def test_no_json_value_makes_a_condition_raise(condition: Any, value: Any):
    assert fits(condition, value) in {True, False}


@pytest.mark.slow
@given(st.lists(VALUES, min_size=1), JSON)
def test_a_collection_holds_when_one_of_its_members_does(members: list[Any], value: Any):
    assert fits(members, value) == any(fits(member, value) for member in members)


@pytest.mark.slow
@given(CONDITIONS, st.lists(JSON))
def test_a_list_matches_when_one_of_its_elements_does(condition: Any, elements: list[Any]):
    flat = [element for element in elements if not isinstance(element, list)]

    assert fits(condition, flat) == any(fits(condition, element) for element in flat)


@given(SCALARS)
def test_every_scalar_matches_itself(value: Any):
    assert fits(value, value)
