"""Compiles each option of `@router.on(...)` into a test of a decision: one compiler per option."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias, get_args

from hitlsh.events import Outcome, Source
from hitlsh.slugs import slug
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.callables import check_predicate
from workers.routing.conditions import Choice, Test, compile_condition, compile_keys, compile_predicate
from workers.telemetry.name_suggestions import closest_or_all

#: Free text is compared exactly: "Approve!" is not the option "approve".
EXACT_TYPES = ("text", "editable_text")
RESPONSE_TYPES = (*EXACT_TYPES, "single_select", "multi_select", "rating", "number", "boolean")

#: Ids of HITL.sh: https://docs.hitl.sh, API reference.
_ID = re.compile(r"[0-9a-fA-F]{24}")

#: Takes the option's name and its condition; raises `RouteInvalid` for what could never hold.
Compiler: TypeAlias = Callable[[str, Any], Test]


def _predicate(option: str, condition: Any) -> Test:
    check_predicate(condition, option)
    return lambda decision: bool(condition(decision))


def _response(option: str, condition: Any) -> Test:
    if callable(condition):
        judge = compile_predicate(condition, option)
        return lambda decision: judge(decision.response)
    choice = Choice.of(condition, option)
    accepts, strings = choice.test(), choice.strings
    if not strings:
        return lambda decision: accepts(decision.response)
    slugs = frozenset(map(slug, strings))

    def test(decision: Decision) -> bool:
        if accepts(decision.response):
            return True
        if decision.response_type in EXACT_TYPES:
            return False
        return any(
            spelling in strings or spelling in slugs or slug(spelling) in strings for spelling in _spellings(decision)
        )

    return test


def _spellings(decision: Decision) -> list[str]:
    """The chosen options, in each spelling of the payload."""
    response = decision.response
    chosen = response if isinstance(response, (list, tuple)) else (response,)
    return [spelling for spelling in (*chosen, *decision.labels) if isinstance(spelling, str)]


def _loop(option: str, condition: Any) -> Test:
    if callable(condition):
        judge = compile_predicate(condition, option)
        return lambda decision: any(map(judge, _known_names(decision.loop_id, decision.loop_name)))
    choice = _strings(option, condition)
    names, none = choice.strings, choice.none

    def test(decision: Decision) -> bool:
        loop_id, loop_name = decision.loop_id, decision.loop_name
        return loop_id in names or loop_name in names or (none and loop_id is None and loop_name is None)

    return test


def _known_names(*names: str | None) -> list[str | None]:
    return [name for name in names if name is not None] or [None]


def _reviewer(option: str, condition: Any) -> Test:
    if callable(condition):
        judge = compile_predicate(condition, option)
        return lambda decision: judge(decision.reviewer)
    choice = _strings(option, condition)
    names, emails, none = choice.strings, frozenset(map(str.casefold, choice.strings)), choice.none

    def test(decision: Decision) -> bool:
        reviewer = decision.reviewer
        if reviewer is None:
            return none
        by_email = reviewer.email is not None and reviewer.email.casefold() in emails
        return by_email or reviewer.id in names or reviewer.name in names

    return test


def _strings(option: str, condition: Any) -> Choice:
    choice = Choice.of(condition, option)
    if not choice.only_strings:
        raise RouteInvalid(f"{option}={condition!r}: ids and names are strings; write {option}='...'")
    return choice


def _metadata(option: str, condition: Any) -> Test:
    fits = compile_keys(condition, option)
    return lambda decision: fits(decision.metadata)


def _state(option: str, condition: Any) -> Test:
    fits = compile_keys(condition, option)
    return lambda decision: fits(decision.state)


def _one_of(allowed: tuple[str, ...], read: Callable[[Decision], str | None]) -> Compiler:
    """A compiler of conditions on a field with a fixed set of values; any other value raises `RouteInvalid`."""

    def compile_value(option: str, condition: Any) -> Test:
        fits = compile_condition(condition, option)
        if not callable(condition):
            _check_values(option, Choice.of(condition, option), allowed)
        return lambda decision: fits(read(decision))

    return compile_value


def _check_values(option: str, choice: Choice, allowed: tuple[str, ...]) -> None:
    unknown = sorted(choice.strings - set(allowed))
    if unknown or not choice.only_strings:
        invalid = repr(unknown[0]) if unknown else "a number"
        known = closest_or_all(unknown[0] if unknown else "", allowed)
        raise RouteInvalid(f"{option}: {invalid} is no value of it: {known} (a function may ask for others)")


#: For each option, the fields (as in `Decision.missing`) without which its test may be wrong.
_NEEDS: dict[str, frozenset[str]] = {
    "loop": frozenset({"loop_id", "loop_name"}),
    "response": frozenset({"response"}),
    "response_type": frozenset({"response_type"}),
    "reviewer": frozenset({"reviewer.id", "reviewer.name", "reviewer.email"}),
    "metadata": frozenset({"context"}),
    "state": frozenset({"state"}),
}
#: Fields that `needs=` may name: they can be missing, and a read of the request provides them.
NEEDABLE = frozenset({"default_response", "question", "was_edited"}).union(*_NEEDS.values())


def is_id(name: str) -> bool:
    """Whether the string is an id of HITL.sh, not a name or an e-mail address."""
    return _ID.fullmatch(name) is not None


def needed_fields(option: str, condition: Any) -> frozenset[str]:
    """The fields without which the test of this condition may be wrong."""
    needs = _NEEDS.get(option, frozenset())
    if option == "response" and not callable(condition) and not Choice.of(condition, option).strings:
        # No answer to a select is a number or a bool; for an unknown type, a string may be the label of a bool.
        return _NEEDS["response_type"]
    if option == "loop" and not callable(condition):
        strings = Choice.of(condition, option).strings
        return frozenset({"loop_id"}) if strings and all(map(is_id, strings)) else needs
    if option == "reviewer" and not callable(condition):
        strings = Choice.of(condition, option).strings
        if strings and all("@" in name for name in strings):
            return frozenset({"reviewer.email"})
    return needs


#: Compilers by option name, in the order in which messages list the options.
COMPILERS: dict[str, Compiler] = {
    "loop": _loop,
    "response": _response,
    "response_type": _one_of(RESPONSE_TYPES, lambda decision: decision.response_type),
    "reviewer": _reviewer,
    "metadata": _metadata,
    "state": _state,
    "source": _one_of(get_args(Source), lambda decision: decision.source),
    "outcome": _one_of(get_args(Outcome), lambda decision: decision.outcome),
    "when": _predicate,
}
