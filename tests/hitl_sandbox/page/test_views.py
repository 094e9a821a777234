"""The page in a browser without scripts."""

import httpx
import pytest

from hitl_sandbox.page.markdown import render
from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller


def page(sandbox: Sandbox) -> httpx.Response:
    return httpx.get(sandbox.url)


def test_the_page_allows_nothing_but_its_own_files(sandbox: Sandbox) -> None:
    reply = page(sandbox)

    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert " style=" not in reply.text
    assert reply.text.count("<script") == 1


def test_an_empty_queue_offers_examples(sandbox: Sandbox) -> None:
    assert "No open requests" in page(sandbox).text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "<a href='data:text/html,x'>x</a>",
    ],
)
def test_markdown_cannot_do_harm(text: str) -> None:
    html = str(render(text))

    assert "<script" not in html
    assert "<img src=x" not in html
    assert 'href="javascript' not in html
    assert 'src="javascript' not in html


def test_markdown_is_rendered() -> None:
    html = str(render("**bold** [link](https://example.com/?a=1&b=2)\n\n|a|\n|-|\n|b|"))

    assert "<strong>bold</strong>" in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert 'href="https://example.com/?a=1&amp;b=2"' in html
    assert "<table>" in html


def test_what_callers_send_is_escaped(sandbox: Sandbox, api: Caller) -> None:
    loop = api.loop(name="<script>alert(1)</script>")
    options = {"options": ['"><script>alert(2)</script>']}
    api.request(
        loop,
        response_config=options,
        default_response=options["options"][0],
        context={"a": "<script>alert(3)</script>"},
    )

    assert page(sandbox).text.count("<script") == 1


def test_only_web_addresses_become_links_and_pictures(sandbox: Sandbox, api: Caller, loop: str) -> None:
    api.request(loop, type="image", image_url="javascript:alert(1)", image_urls=["https://example.com/a.png"])

    text = page(sandbox).text

    assert "javascript:" not in text
    assert 'src="https://example.com/a.png"' in text


def answer(sandbox: Sandbox, request_id: str, *values: str) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/page/requests/{request_id}/answer", data={"answer": list(values)})


@pytest.mark.parametrize(
    ("response_type", "values", "expected"),
    [
        ("text", [""], ""),
        ("text", ["two\r\nlines"], "two\nlines"),
        ("single_select", ["Hold back"], "Hold back"),
        ("multi_select", [], []),
        ("multi_select", ["typo", "broken_link"], ["Typo", "Broken link"]),
        ("rating", ["8.5"], 8.5),
        ("number", ["0"], 0),
        ("number", ["149.95"], 149.95),
        ("boolean", ["false"], False),
        ("editable_text", ["Dear all"], {"revised_text": "Dear all", "was_edited": False}),
    ],
)
def test_a_form_answers_without_scripts(
    sandbox: Sandbox, api: Caller, loop: str, response_type: str, values: list[str], expected: object
) -> None:
    request_id = api.request(loop, response_type)

    reply = answer(sandbox, request_id, *values)

    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    response = api.read(request_id)["response_data"]
    assert (response, type(response)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("response_type", "values", "problem"),
    [
        ("single_select", [], "choose an answer first"),
        ("number", ["lots"], "enter a number"),
        ("rating", ["11"], "the number must be between 1 and 10"),
    ],
)
def test_a_form_that_does_not_fit_shows_why(
    sandbox: Sandbox, api: Caller, loop: str, response_type: str, values: list[str], problem: str
) -> None:
    reply = answer(sandbox, api.request(loop, response_type), *values)

    assert reply.status_code == 400
    assert 'role="alert"' in reply.text
    assert problem in reply.text


def test_an_answered_request_is_gone_from_the_queue(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop)
    answer(sandbox, request_id, "Publish")

    late = answer(sandbox, request_id, "Hold back")

    assert late.status_code == 409
    assert f"/page/requests/{request_id}/answer" not in page(sandbox).text


def test_history_shows_every_attempt(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, callback_url="http://127.0.0.1:9/closed")
    sandbox.answer(request_id, "Publish")
    sandbox.advance(100)

    text = page(sandbox).text

    assert text.count("ConnectError") == 4
    assert "http://127.0.0.1:9/closed" in text


@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_history_names_no_reviewer_for_a_request_that_nobody_answered(
    sandbox: Sandbox, api: Caller, loop: str, outcome: str
) -> None:
    request_id = api.request(loop, "boolean", timeout_seconds=60)
    if outcome == "cancelled":
        api.call("DELETE", f"/requests/{request_id}")
    sandbox.advance(60)

    text = page(sandbox).text

    outcomes = {"timeout": "No answer in time; the default is no", "cancelled": "Cancelled by the caller"}
    assert outcomes[outcome] in text
    assert "Answered</span>" not in text


def test_the_clock_can_be_moved_from_the_page(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, timeout_seconds=60)

    moved = httpx.post(f"{sandbox.url}/page/clock", data={"seconds": "60"})
    wrong = httpx.post(f"{sandbox.url}/page/clock", data={"seconds": "-1"})

    assert (moved.status_code, wrong.status_code) == (303, 400)
    assert api.read(request_id)["status"] == "timeout"


def test_claims_are_offered_when_they_are_on(sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop)
    before = page(sandbox).text
    sandbox.configure(claims=True)
    httpx.post(f"{sandbox.url}/page/requests/{request_id}/claim")
    claimed = page(sandbox).text
    httpx.post(f"{sandbox.url}/page/requests/{request_id}/release")

    assert ">Claim<" not in before
    assert "Claimed by" in claimed
    assert ">Release<" in claimed
    assert api.read(request_id)["status"] == "pending"


def test_an_invitation_leads_somewhere(sandbox: Sandbox, api: Caller) -> None:
    created = api.post("/loops", {"name": "x", "icon": "bell"}).json()["data"]

    assert httpx.get(created["qr_code_url"]).headers["content-type"] == "image/png"
    assert httpx.get(created["join_url"]).headers["location"] == "/"
    assert httpx.get(f"{sandbox.url}/uploads/nothing").status_code == 404


def test_an_open_page_is_sent_changes(sandbox: Sandbox, api: Caller) -> None:
    with httpx.stream("GET", f"{sandbox.url}/sandbox/live") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        first = next(lines)
        api.loop()
        second = next(lines)

    assert first != second


def test_a_long_queue_shows_the_most_urgent(sandbox: Sandbox, api: Caller, loop: str) -> None:
    for _ in range(60):
        api.request(loop, priority="low")
    urgent = api.request(loop, priority="critical")

    text = page(sandbox).text

    assert text.count('<article class="card') == 60
    assert f"/page/requests/{urgent}/answer" in text
    assert "and 1 more" in text
