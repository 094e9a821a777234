from typing import Any

import pytest

from hitlsh.events import Reviewer
from workers.errors import RouteInvalid
from workers.sinks.message import Message
from workers.sinks.template import Template
from workers.testing import completed


def filled(text: str, **changes: Any) -> str:
    return Template(text).fill(Message.of(completed(**changes), target="it"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{literal}} & {type}", "{literal} & request.completed"),
        ("{response} {labels}", "Approve Fine, Good"),
        ("{reviewer} {reviewer.email} {reviewer.id.x}", "Robin robin@example.com none"),
        ("{loop} {loop.id}", "Payouts l1"),
        ("{state.order.id} {state.nothing} {state.__class__}", "7 none none"),
        ("{state}", '{"order":{"id":7}}'),
        ("{late} {version}", "false 1"),
    ],
)
def test_fields_are_keys_of_the_body(text: str, said: str) -> None:
    changes: dict[str, Any] = {"labels": ("Fine", "Good"), "state": {"order": {"id": 7}}, "loop_id": "l1"}

    assert (
        filled(text, reviewer=Reviewer(name="Robin", email="robin@example.com"), loop_name="Payouts", **changes) == said
    )


def test_a_value_is_never_taken_for_a_template() -> None:
    assert filled("{response}", response="{event_key} {state.__class__}") == "{event_key} {state.__class__}"


def test_a_reviewer_or_loop_without_a_name_is_shown_by_email_or_id() -> None:
    changes: dict[str, Any] = {"reviewer": Reviewer(id="u1"), "loop_id": "l1", "loop_name": None}

    assert filled("{reviewer} in {loop}", **changes) == "u1 in l1"


def test_a_long_value_is_cut() -> None:
    assert filled("{response}", response="x" * 50_000) == "x" * 2_000 + "…"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{respnse}", "did you mean 'response'"), ("{}", "is no field"), ("{0}", "is no field"), ("{", "braces"),
        ("{response!r}", "no format"), ("{response:>5}", "no format"), ("{state.}", "no format"),
        ("{state[invoice]}", "is no field"), ("{__class__}", "is no field"), ("", "give the text"),
        (None, "give the text"),
    ],
)  # fmt: skip
def test_a_template_that_could_not_be_filled_is_refused(text: Any, wrong: str) -> None:
    with pytest.raises(RouteInvalid, match=wrong):
        Template(text)
