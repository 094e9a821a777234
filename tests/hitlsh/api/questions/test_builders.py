"""What can be asked, and what is refused before a call is spent."""

import json
import warnings
from typing import Any

import pytest

from hitlsh.api import (
    ArgumentInvalid,
    DocumentedLimitWarning,
    Option,
    Question,
    audio,
    boolean,
    editable_text,
    file,
    image,
    multi_select,
    number,
    rating,
    single_select,
    text,
    video,
)
from hitlsh.api.calls import chains, loops, request_lists, requests, sessions, uploads, webhooks, workflows

PICK = single_select("Approve", "Approve with Warning", Option(value="no", label="Reject it"))


def body_of(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"loop_id": "l", "text": "Go?", "question": PICK, "default_response": "no"}
    body: dict[str, Any] = json.loads(requests.create(**fields | changes).body or b"")
    return body


def test_the_body_holds_what_the_reference_requires() -> None:
    body = body_of(timeout_seconds=60, context={"order": 17}, tags=["x"])

    assert body == {
        "processing_type": "time-sensitive",
        "type": "markdown",
        "priority": "medium",
        "request_text": "Go?",
        "context": {"order": 17},
        "timeout_seconds": 60,
        "response_type": "single_select",
        "response_config": {
            "options": ["Approve", "Approve with Warning", {"value": "no", "label": "Reject it"}],
            "required": False,
        },
        "default_response": "no",
        "platform": "api",
        "tags": ["x"],
    }


def test_without_a_timeout_a_request_is_deferred() -> None:
    assert body_of()["processing_type"] == "deferred"


@pytest.mark.parametrize(
    ("question", "given", "sent"),
    [
        (PICK, "Approve", "Approve"),
        (PICK, "approve_with_warning", "Approve with Warning"),
        (PICK, "Reject it", "no"),
        (PICK, ["no"], "no"),
        (multi_select("A", "B", "C"), ["a", "C"], ["A", "C"]),
        (multi_select("A", "B"), "B", ["B"]),
        (multi_select("A", "B"), [], []),
        (rating(0, 5), 0, 0),
        (rating(1, 5, scale_step=0.5), 2.5, 2.5),
        (number(-3, 3), -1.25, -1.25),
        (number(0, 0.5, decimal_places=1), 0.3, 0.3),
        (boolean(), False, False),
        (boolean("Ship", "Hold"), "hold", False),
        (boolean(), "true", True),
        (text(), "", ""),
        (editable_text("Dear all"), "Dear all", "Dear all"),
    ],
)
def test_a_default_is_taken_in_every_documented_form(question: Question, given: Any, sent: Any) -> None:
    default = body_of(question=question, default_response=given)["default_response"]

    assert (default, type(default)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("question", "given", "complaint"),
    [
        (PICK, "Maybe", "one of the options: 'Approve', 'Approve with Warning', 'no'"),
        (PICK, False, "one of the options"),
        (PICK, None, "response that holds when nobody answers"),
        (multi_select("A", "B"), ["A", "A"], "names an option twice"),
        (multi_select("A", "B", max_selections=1), ["A", "B"], "the limit is 1"),
        (rating(1, 5), 6, "from 1 to 5"),
        (rating(1, 5), True, "give a number"),
        (rating(1, 5), float("nan"), "give a number"),
        (rating(1, 5), 2.5, "not on a step of 1 from 1"),
        (number(0, 10, decimal_places=1), 0.25, "not on a step of 0.1"),
        (boolean("Ship", "Hold"), "perhaps", "'Ship' or 'Hold'"),
        (boolean(), 0, "True or False"),
        (text(max_length=3), "four", "the limit is 3"),
        (text(), 4, "give a text"),
    ],
)
def test_a_default_that_does_not_fit_is_refused(question: Question, given: Any, complaint: str) -> None:
    with pytest.raises(ArgumentInvalid, match=complaint):
        body_of(question=question, default_response=given)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: single_select(), "options has 0 entries: give 1 to 20"),
        (lambda: single_select(*map(str, range(21))), "options has 21 entries"),
        (lambda: single_select("A", "A"), "value 'A' twice"),
        (lambda: single_select("A+", "A-"), "'A\\+' and 'A-', which an answer may not tell apart"),
        (lambda: single_select("Approve it", "approve_it"), "may not tell apart"),
        (
            lambda: multi_select(Option(value="pay", label="Hold"), Option(value="hold", label="Pay")),
            r"'pay' \('Hold'\) and 'hold' \('Pay'\), which an answer may not tell apart",
        ),
        (lambda: single_select("x" * 101), r"options\[0\].value has 101 characters: the limit is 100"),
        (lambda: single_select(Option(value="a", label="x" * 201)), r"options\[0\].label has 201 characters"),
        (lambda: single_select(" "), r"options\[0\].value is ' '"),
        (lambda: multi_select("A", max_selections=2), "max_selections is 2: give a whole number from 1 to 1"),
        (lambda: multi_select("A", "B", min_selections=3), "min_selections is 3"),
        (lambda: rating(5, 1), "scale_min is 5 and scale_max is 1"),
        (lambda: rating(scale_step=0), "scale_step is 0: it must be above 0"),
        (lambda: number(0, float("inf")), "max_value is inf"),
        (lambda: number(0, 1, decimal_places=11), "decimal_places is 11: give a whole number from 0 to 10"),
        (lambda: text(max_length=5001), "max_length is 5001: give a whole number from 1 to 5000"),
        (lambda: text(min_length=9, max_length=8), "min_length is 9"),
        (lambda: editable_text("four", max_length=3), "draft_text has 4 characters"),
        (lambda: boolean("x" * 101), "true_label has 101 characters: the limit is 100"),
        (lambda: boolean("Same", "Same"), "a reviewer cannot tell them apart"),
        (
            lambda: boolean("No", "Yes"),
            "true_label is 'No' and false_label is 'Yes': an answer may not tell them apart",
        ),
        (lambda: boolean("Same!", "Same"), "an answer may not tell them apart"),
        (lambda: image(), "give one or several"),
        (lambda: image("cat.png"), "image_url is 'cat.png': give an absolute address"),
    ],
)
def test_a_question_outside_the_limits_is_refused_where_it_is_made(build: Any, complaint: str) -> None:
    with pytest.raises(ArgumentInvalid, match=complaint):
        build()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"text": " "}, "request_text is ' '"),
        ({"text": None}, "request_text is None"),
        ({"priority": "urgent"}, "priority is 'urgent': give one of low, medium, high, critical"),
        ({"timeout_seconds": 59}, "timeout_seconds is 59: give a whole number from 60 to 86400"),
        ({"timeout_seconds": True}, "timeout_seconds is True"),
        ({"processing_type": "time-sensitive"}, "timeout_seconds is missing"),
        ({"processing_type": "soon"}, "processing_type is 'soon'"),
        ({"callback_url": "/hook"}, "callback_url is '/hook': give an absolute address"),
        ({"context": ["x"]}, "context is a list: give an object"),
        ({"context": {"when": object()}}, "context is not JSON"),
        ({"context": {"x": float("nan")}}, "context is not JSON"),
        ({"loop_id": ""}, "loop_id is ''"),
        ({"loop_id": ".."}, "loop_id is '..'"),
    ],
)
def test_a_request_outside_the_limits_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ArgumentInvalid, match=complaint):
        body_of(**changes)


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"text": "x" * 2001}, "request_text has 2001 characters"),
        ({"timeout_seconds": 259_200, "processing_type": "deferred"}, "timeout_seconds is 259200"),
        ({"callback_url": "http://example.com/hook"}, "callback_url 'http://example.com/hook' is not https"),
    ],
)
def test_what_the_documents_disagree_about_is_sent_with_a_warning(changes: dict[str, Any], warned: str) -> None:
    with pytest.warns(DocumentedLimitWarning, match=warned):
        assert body_of(**changes)


def test_a_callback_to_this_machine_is_fine() -> None:
    with warnings.catch_warnings(action="error"):
        assert body_of(callback_url="http://localhost:8000/callbacks/x")


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (image("https://x.example/a.png"), {"type": "image", "image_url": "https://x.example/a.png"}),
        (
            video("https://x.example/a", "https://x.example/b"),
            {
                "type": "video",
                "video_url": "https://x.example/a",
                "video_urls": ["https://x.example/a", "https://x.example/b"],
            },
        ),
        (audio("https://x.example/a"), {"type": "audio", "audio_url": "https://x.example/a"}),
        (
            file("https://x.example/a.pdf", file_type="application/pdf", file_name="a.pdf"),
            {
                "type": "file",
                "file_url": "https://x.example/a.pdf",
                "file_type": "application/pdf",
                "file_name": "a.pdf",
            },
        ),
    ],
)
def test_contents_go_out_under_the_documented_names(content: Any, fields: dict[str, Any]) -> None:
    assert fields.items() <= body_of(content=content).items()


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: loops.create("", "lock"), "name has 0 characters: give 1 to 100"),
        (
            lambda: loops.create("n", "lock", description="x" * 501),
            "description has 501 characters: give 0 to 500",
        ),
        (lambda: loops.update("l"), "nothing to update: give at least one of name, description, icon"),
        (lambda: request_lists.page(limit=101), "limit is 101: give a whole number from 1 to 100"),
        (lambda: request_lists.list_all(page_size=0), "limit is 0"),
        (lambda: requests.update("r", priority="normal"), "priority is 'normal'"),  # type: ignore[arg-type]  # refused
        (lambda: requests.feedback("r"), "feedback is empty"),
        (lambda: requests.feedback("r", rating=6), "rating is 6: give a whole number from 1 to 5"),
        (lambda: requests.feedback("r", comment="x" * 1001), "comment has 1001 characters: give 0 to 1000"),
        (
            lambda: sessions.wait_for_turn("s", "t", timeout=301),
            "timeout is 301: give a whole number from 1 to 300",
        ),
        (lambda: uploads.image(b"x", "a.pdf"), "takes only .jpg, .jpeg, .png, .gif, .webp"),
        (lambda: uploads.image(b"", "a.png"), "has 0 bytes"),
        (lambda: uploads.image(b"x" * (10 * 1024 * 1024 + 1), "a.png"), "takes 1 byte to 10 MB"),
        (lambda: chains.create("r", org_id="o", mode="parallel", steps=[]), "must be at least one step"),
        (lambda: workflows.trigger("w", [{"x": object()}]), "payload is not JSON"),
        (lambda: webhooks.create("http://x.example", events=["*"], secret="s"), "is not https"),
        (lambda: webhooks.create("https://x.example", events="*", secret="s"), "give a list of patterns"),
    ],
)
def test_other_calls_refuse_what_would_only_cost_a_call(build: Any, complaint: str) -> None:
    with pytest.raises(ArgumentInvalid, match=complaint):
        build()


def test_an_update_can_set_null() -> None:
    body = json.loads(requests.update("r", callback_url=None).body or b"")

    assert body == {"callback_url": None}


def test_both_documented_trigger_paths_can_be_had() -> None:
    assert workflows.trigger("w").path == "/workflows/w/trigger"
    assert workflows.trigger("w", form="webhook").path == "/workflows/webhook/w"
