"""One rule for the slug of an option, whoever compares it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.api import single_select
from hitlsh.slugs import slug
from tests.hitlsh.bodies import callback, event
from workers import Router
from workers.testing import completed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Approve with Warning", "approve_with_warning"),
        ("approve_with_warning", "approve_with_warning"),
        ("  Approve -- with__Warning! ", "approve_with_warning"),
        ("Option 2", "option_2"),
        ("Größe prüfen", "größe_prüfen"),
        ("  No!  ", "no"),
        ("a_b", "a_b"),
        ("?!", "?!"),
        ("Größe 3", "größe_3"),
        ("-1", "-1"),
        ("1", "1"),
        ("1.5", "1.5"),
        ("👍", "👍"),
        ("", ""),
        (" ", " "),
    ],
)
def test_a_slug_is_lower_case_words_with_underscores(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text())
def test_a_slug_is_its_own_slug(text: str) -> None:
    assert slug(slug(text)) == slug(text)


@pytest.mark.parametrize(("one", "other"), [("-1", "1"), ("👍", "👎"), ("+", "-")])
def test_options_without_a_letter_are_never_taken_for_each_other(one: str, other: str) -> None:
    router = Router()

    @router.on("request.completed", response=one)
    async def handler(decision: object) -> None:
        pass

    answer = single_select(one, other).answer(other)

    assert event(callback(one)).fingerprint != event(callback(other)).fingerprint
    assert answer is not None
    assert not answer.matches(one)
    assert not router.match(completed(other))


@pytest.mark.parametrize("spelling", ["approve__with-warning", "APPROVE WITH WARNING", "approve_with_warning"])
def test_every_spelling_of_an_option_is_that_option(spelling: str) -> None:
    answer = single_select("Approve with Warning", "Reject").answer(spelling)

    assert event(callback(spelling)).fingerprint == event(callback("Approve with Warning")).fingerprint
    assert answer is not None
    assert answer.matches("Approve with Warning")
