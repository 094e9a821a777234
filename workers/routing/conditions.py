"""Conditions: a value, a collection of values, a range or a predicate, compiled once into a test.

Equality is that of JSON, not Python: ``True`` is not 1 (but 4 is 4.0). A list matches if any of its elements does.
None matches only if the condition contains None.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from workers.errors import RouteInvalid
from workers.routing.callables import check_predicate, name_of

#: What `compile_condition` makes of a condition.
Test: TypeAlias = Callable[[Any], bool]
Predicate: TypeAlias = Callable[[Any], Any]


class Between(msgspec.Struct, frozen=True):
    """The numbers from `low` to `high`, both included; made by `between`."""

    low: float
    high: float

    def __repr__(self) -> str:
        return f"between({self.low!r}, {self.high!r})"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


Value: TypeAlias = str | bool | int | float | None
Condition: TypeAlias = Value | Between | Collection[Value | Between] | Predicate
#: Keys with a condition each, all of which must hold; a condition may again be such a mapping.
Keys: TypeAlias = Mapping[str, Any] | Predicate


def between(low: float, high: float) -> Between:
    """The condition "a number from `low` to `high`", both included; ``math.inf`` leaves a side open."""
    for bound in (low, high):
        if not _is_number(bound) or math.isnan(bound):
            raise RouteInvalid(f"between({low!r}, {high!r}): {bound!r} is not a number; give two numbers")
    if high < low:
        raise RouteInvalid(f"between({low!r}, {high!r}) holds no number: write between({high!r}, {low!r})")
    return Between(low, high)


class Choice(msgspec.Struct, frozen=True):
    """The values of a condition, separated by type so that True and 1 stay different."""

    strings: frozenset[str] = frozenset()
    numbers: frozenset[int | float] = frozenset()
    bools: frozenset[bool] = frozenset()
    none: bool = False
    ranges: tuple[Between | range, ...] = ()

    @classmethod
    def of(cls, condition: Any, option: str) -> "Choice":
        """The values in a condition; raises `RouteInvalid`, naming `option`, for what can never match."""
        members = list(_members(condition, option))
        return cls(
            strings=frozenset(value for value in members if isinstance(value, str)),
            numbers=frozenset(value for value in members if _is_number(value)),
            bools=frozenset(value for value in members if isinstance(value, bool)),
            none=None in members,
            ranges=tuple(value for value in members if isinstance(value, Between | range)),
        )

    @property
    def only_strings(self) -> bool:
        """The values contain no number, bool or range: usable for a field that holds strings."""
        return not (self.numbers or self.bools or self.ranges)

    def test(self) -> Test:
        """The test whether a JSON value, or any element of a list, is one of these values."""
        accepts = self._accepts()
        return lambda value: any(map(accepts, value)) if isinstance(value, (list, tuple)) else accepts(value)

    def _accepts(self) -> Test:
        if self == Choice(strings=self.strings):
            strings = self.strings
            return lambda value: isinstance(value, str) and value in strings
        return self._accepts_any_type

    def _accepts_any_type(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self.strings
        if value is None:
            return self.none
        if isinstance(value, bool):
            return value in self.bools
        if isinstance(value, (int, float)):
            return value in self.numbers or any(_in_range(value, span) for span in self.ranges)
        return False


def compile_condition(condition: Any, option: str) -> Test:
    """A test of one field's value; raises `RouteInvalid`, naming `option`, for what can never match."""
    if callable(condition):
        return compile_predicate(condition, option)
    return Choice.of(condition, option).test()


def compile_keys(keys: Any, option: str) -> Test:
    """A test of a JSON object: every key fits its condition; a missing key counts as None."""
    if callable(keys):
        return compile_predicate(keys, option)
    if not isinstance(keys, Mapping) or not keys:
        raise RouteInvalid(f"{option}={keys!r}: give the keys to look at, such as {option}={{'tier': 'gold'}}")
    tests = tuple((_key(key, option), _compile_member(keys[key], f"{option}[{key!r}]")) for key in keys)

    def test(value: Any) -> bool:
        members = value if isinstance(value, dict) else {}
        return all(fits(members.get(key)) for key, fits in tests)

    return test


def compile_predicate(predicate: Any, option: str) -> Test:
    """A test that calls the user's function; it raises what the function raises."""
    check_predicate(predicate, option)
    return lambda value: bool(predicate(value))


def describe_condition(condition: Any) -> str:
    """The condition as source code, on one line of at most 60 characters."""
    if callable(condition):
        return name_of(condition).replace("<lambda>", "lambda")
    if isinstance(condition, set | frozenset):
        condition = sorted(condition, key=repr)
    text = repr(condition)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _compile_member(condition: Any, option: str) -> Test:
    nested = isinstance(condition, Mapping)
    return compile_keys(condition, option) if nested else compile_condition(condition, option)


def _key(key: Any, option: str) -> str:
    if not isinstance(key, str):
        raise RouteInvalid(f"{option}: the key {key!r} is not a string; keys of JSON objects are")
    return key


def _members(condition: Any, option: str) -> Iterable[Any]:
    if not isinstance(condition, list | tuple | set | frozenset):
        return [_checked(condition, option)]
    if not condition:
        raise RouteInvalid(f"{option}={condition!r} is empty and matches nothing: name a value or leave it out")
    return [_checked(member, option) for member in condition]


def _checked(value: Any, option: str) -> Any:
    if isinstance(value, range) and not value:
        raise RouteInvalid(f"{option}={value!r} is empty and matches nothing: the end of a range is not part of it")
    if isinstance(value, float) and math.isnan(value):
        raise RouteInvalid(f"{option}={value!r}: NaN equals nothing; name a number")
    if value is None or isinstance(value, str | int | float | Between | range):
        return value
    raise RouteInvalid(
        f"{option}: {value!r} is no condition; give a string, number, bool, a list of these, "
        f"between(low, high) or a function of the value"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(value: float, span: Between | range) -> bool:
    if isinstance(span, Between):
        return value in span
    # A float searches a range element by element, an int is found by arithmetic.
    return value % 1 == 0 and int(value) in span
