from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, refusal

FEEDBACK = {"rating": 4, "accuracy": 5, "comment": "Quick", "would_recommend": True, "category": "positive"}


@pytest.fixture
def answered(sandbox: Sandbox, api: Caller, loop: str) -> str:
    request_id = api.request(loop)
    sandbox.answer(request_id, "Publish")
    return request_id


def test_feedback_is_given_once(api: Caller, answered: str) -> None:
    first = api.post(f"/requests/{answered}/feedback", {"feedback": FEEDBACK})
    second = api.post(f"/requests/{answered}/feedback", {"feedback": FEEDBACK})

    assert first.json()["msg"] == "Feedback added successfully"
    assert first.json()["data"] == {"request_id": answered, "feedback": FEEDBACK}
    assert refusal(second) == (400, "Feedback has already been added to this request", None)
    assert api.read(answered)["feedback"] == FEEDBACK


def test_a_recommendation_beside_the_object_counts(api: Caller, answered: str) -> None:
    reply = api.post(f"/requests/{answered}/feedback", {"feedback": {"rating": 1}, "would_recommend": False})

    assert reply.json()["data"]["feedback"] == {"rating": 1, "would_recommend": False}


def test_first_generation_feedback_says_more(sandbox: Sandbox, api: Caller, answered: str) -> None:
    sandbox.configure(r1_replies=True)

    data = api.post(f"/requests/{answered}/feedback", {"feedback": FEEDBACK}).json()["data"]

    assert {"feedback_id", "submitted_at", "reviewer_notified"} < set(data)


@pytest.mark.parametrize("changes", [{"rating": 0}, {"accuracy": 6}, {"helpfulness": True}, {"timeliness": 2.5}])
def test_ratings_are_one_to_five(api: Caller, answered: str, changes: dict[str, Any]) -> None:
    reply = api.post(f"/requests/{answered}/feedback", {"feedback": changes})

    assert refusal(reply) == (400, "Rating values must be between 1 and 5", None)


@pytest.mark.parametrize(
    ("body", "msg", "data"),
    [
        ({}, "Invalid request body", None),
        (
            {"feedback": {"comment": "x" * 1001}},
            "Comment exceeds maximum length of 1000 characters",
            None,
        ),
        ({"feedback": {"comment": 1}}, "Validation failed", "comment must be a string"),
        (
            {"feedback": {"category": "meh"}},
            "Validation failed",
            "category must be one of: positive, constructive, issue",
        ),
    ],
)
def test_feedback_that_breaks_a_rule_is_refused(
    api: Caller, answered: str, body: dict[str, Any], msg: str, data: str | None
) -> None:
    assert refusal(api.post(f"/requests/{answered}/feedback", body)) == (400, msg, data)


def test_an_open_request_gets_no_feedback(api: Caller, loop: str) -> None:
    reply = api.post(f"/requests/{api.request(loop)}/feedback", {"feedback": FEEDBACK})

    assert refusal(reply) == (400, "Feedback can only be added to completed requests", None)
