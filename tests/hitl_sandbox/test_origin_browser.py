"""Attacks through a real browser: a rebound name, and a page of another site."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.browser import open_browser
from tests.hitl_sandbox.caller import Caller

pytestmark = pytest.mark.browser

ATTACK = """async ([origin, id, mode]) => {
    const answer = { method: "POST", mode, body: JSON.stringify({ response_data: "Publish" }) };
    const replies = [
        await fetch(`${origin}/sandbox/requests/${id}/answer`, answer),
        await fetch(`${origin}/sandbox/state`, { mode }),
        await fetch(`${origin}/page/requests/${id}/answer`, { ...answer, body: new URLSearchParams({ answer: "0" }) }),
    ];
    return Promise.all(replies.map(async (reply) => [reply.status, await reply.text()]));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Every name leads to this machine: what a rebinding resolver answers once the page is loaded.
    # Older browsers have no checks of their own on the way to loopback.
    yield from open_browser(
        "--host-resolver-rules=MAP *.example 127.0.0.1",
        "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
    )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def visit(page: Page, address: str) -> None:
    """The attacker's page, as the attacker's own server gave it; every other request really goes out."""
    page.route(f"{address}/", lambda route: route.fulfill(body="<h1>Hello</h1>", content_type="text/html"))
    page.goto(f"{address}/")


def test_a_rebound_name_answers_nothing_and_reads_nothing(page: Page, sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, callback_url="https://hooks.example/callbacks/t0ken")
    address = f"http://evil.example:{urlsplit(sandbox.url).port}"
    visit(page, address)

    replies = page.evaluate(ATTACK, [address, request_id, "same-origin"])

    assert [status for status, _ in replies] == [421, 421, 421]
    assert "t0ken" not in str(replies)
    assert api.read(request_id)["status"] == "pending"


def test_a_page_of_another_site_answers_nothing_and_reads_nothing(
    page: Page, sandbox: Sandbox, api: Caller, loop: str
) -> None:
    request_id = api.request(loop, callback_url="https://hooks.example/callbacks/t0ken")
    visit(page, f"http://evil.example:{urlsplit(sandbox.url).port}")

    # Status 0: the reply has come, and the browser keeps it from the page.
    replies = page.evaluate(ATTACK, [sandbox.url, request_id, "no-cors"])

    assert replies == [[0, ""]] * 3
    assert api.read(request_id)["status"] == "pending"


def test_the_page_is_answered_on_without_a_script(browser: Browser, sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, "boolean")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    posted: list[dict[str, str]] = []
    page.on("request", lambda sent: posted.append(sent.all_headers()) if sent.method == "POST" else None)
    page.goto(sandbox.url)
    page.locator(".card").get_by_label("Go").check()

    page.get_by_role("button", name="Send answer").click()

    assert api.read(request_id)["response_data"] is True
    assert page.url == f"{sandbox.url}/"
    context.close()
