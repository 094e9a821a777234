"""The page in a real browser: answers, updates, keyboard use, light and dark colours, attacks."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, expect

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.browser import open_browser
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from open_browser()


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def page(shared_page: Page, sandbox: Sandbox) -> Iterator[Page]:
    """The page; a message on its console fails the test."""
    messages: list[str] = []
    page = shared_page
    page.set_viewport_size({"width": 1180, "height": 860})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")

    def note(message: ConsoleMessage | Error) -> None:
        messages.append(message.text if isinstance(message, ConsoleMessage) else str(message))

    page.on("console", note)
    page.on("pageerror", note)
    page.goto(sandbox.url)
    expect(page.locator(".live")).to_have_text("live")
    yield page
    page.goto("about:blank")
    page.remove_listener("console", note)
    page.remove_listener("pageerror", note)
    # Chromium logs every refused request; a test causes one with status 400.
    assert [text for text in messages if "status of 400" not in text] == []


def card(page: Page, text: str) -> Locator:
    return page.locator(".card", has_text=text)


def send(card: Locator) -> None:
    card.get_by_role("button", name="Send answer").click()
    expect(card).to_have_count(0)


def test_a_newcomer_answers_all_examples(page: Page, sandbox: Sandbox) -> None:
    page.get_by_role("button", name="Create example requests").click()
    expect(page.locator(".card")).to_have_count(7)

    boolean = card(page, "Refund")
    boolean.get_by_label("Do not refund").check()
    send(boolean)
    select = card(page, "forum reply")
    select.get_by_label("Hold back").check()
    send(select)
    editable = card(page, "match our tone")
    editable.get_by_label("Revise the draft").fill("Hello!")
    send(editable)
    multi = card(page, "product description")
    multi.get_by_label("Typo").check()
    multi.get_by_label("Wrong colour").check()
    send(multi)
    rating = card(page, "summary")
    rating.get_by_label("5 Excellent").check()
    send(rating)
    number = card(page, "bicycle")
    number.get_by_label("Enter a number").fill("0")
    send(number)
    text = card(page, "next shift")
    text.get_by_label("Write an answer").fill("All quiet")
    send(text)

    answers = {request["response_type"]: request["response_data"] for request in sandbox.state()["requests"]}
    assert answers == {
        "boolean": False,
        "single_select": "Hold back",
        "editable_text": {"revised_text": "Hello!", "was_edited": True},
        "multi_select": ["Typo", "Wrong colour"],
        "rating": 5,
        "number": 0,
        "text": "All quiet",
    }
    expect(page.locator(".entry")).to_have_count(7)
    expect(page.get_by_text("No open requests")).to_be_visible()


def test_requests_appear_and_go_without_a_reload(page: Page, sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, request_text="Is anybody there?")
    expect(card(page, "Is anybody there?")).to_be_visible()
    expect(page).to_have_title("(1) HITL.sh sandbox")

    sandbox.answer(request_id, "Publish")

    expect(card(page, "Is anybody there?")).to_have_count(0)
    expect(page.locator(".entry")).to_contain_text("Publish")


def test_what_is_being_typed_survives_an_update(page: Page, api: Caller, loop: str) -> None:
    api.request(loop, "text", request_text="First")
    field = card(page, "First").get_by_label("Write an answer")
    field.fill("half a sent")

    api.request(loop, "text", request_text="Second", priority="critical")

    expect(card(page, "Second")).to_be_visible()
    expect(field).to_have_value("half a sent")
    expect(field).to_be_focused()
    expect(card(page, "First").locator(".count")).to_have_text("11")


def test_deliveries_are_watched_as_they_happen(
    page: Page, sandbox: Sandbox, api: Caller, loop: str, receiver: Receiver
) -> None:
    receiver.answer(500)
    request_id = api.request(loop, callback_url=receiver.url)
    sandbox.answer(request_id, "Publish")
    sandbox.settle()
    entry = page.locator(".entry")
    entry.locator("> summary").click()
    expect(entry.locator(".attempts .bad")).to_contain_text("500")
    expect(entry.locator(".next")).to_contain_text("next attempt in 0:01")

    sandbox.advance(1)

    expect(entry.locator(".attempts .good")).to_contain_text("200")
    expect(entry.locator(".state")).to_have_text("delivered")


def test_a_refusal_is_shown_beside_the_answer(page: Page, api: Caller, loop: str) -> None:
    config = {"options": ["a", "b", "c"], "min_selections": 2, "max_selections": 2}
    api.request(loop, "multi_select", response_config=config, default_response=[])
    form = page.locator(".card")
    form.get_by_label("a", exact=True).check()

    form.get_by_role("button", name="Send answer").click()

    expect(form.get_by_role("alert")).to_contain_text("select between 2 and 2 options")
    expect(form.get_by_label("a", exact=True)).to_be_checked()


def test_the_keyboard_is_enough(page: Page, sandbox: Sandbox, api: Caller, loop: str) -> None:
    for text in ("First", "Second"):
        api.request(loop, "boolean", request_text=text)
    expect(page.locator(".card")).to_have_count(2)

    card(page, "First").get_by_label("Go").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(card(page, "First")).to_have_count(0)
    expect(card(page, "Second").get_by_label("Go")).to_be_focused()
    expect(page.locator(".announcement")).to_contain_text("1 open")
    first = next(request for request in sandbox.state()["requests"] if request["request_text"] == "First")
    assert first["response_data"] is False


def test_a_countdown_ends_in_history(page: Page, api: Caller, loop: str) -> None:
    api.request(loop, timeout_seconds=90)
    expect(page.locator(".card .countdown")).to_have_text("1:30 left")
    expect(page.locator(".card .countdown")).to_have_class(re.compile("soon"))

    page.get_by_role("button", name="+1 min").click()
    expect(page.locator(".card .countdown")).to_have_text("0:30 left")
    page.get_by_role("button", name="+1 min").click()

    expect(page.locator(".entry.timeout")).to_contain_text("No answer in time; the default is Hold back")


def test_a_claim_is_made_and_given_back(page: Page, sandbox: Sandbox, api: Caller, loop: str) -> None:
    sandbox.configure(claims=True)
    api.request(loop)

    page.get_by_role("button", name="Claim").click()
    expect(page.get_by_text("Claimed by")).to_be_visible()
    page.get_by_role("button", name="Release").click()

    expect(page.get_by_role("button", name="Claim")).to_be_visible()


def test_a_wide_scale_is_a_slider(page: Page, sandbox: Sandbox, api: Caller, loop: str) -> None:
    request_id = api.request(loop, "rating", response_config={"scale_max": 100}, default_response=1)
    slider = page.get_by_label(re.compile("Rate"))
    slider.fill("70")
    expect(page.locator(".reading")).to_have_text("70")

    send(page.locator(".card"))

    assert api.read(request_id)["response_data"] == 70


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1180])
def test_nothing_is_cut_off_and_everything_has_a_name(page: Page, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("button", name="Create example requests").click()
    expect(page.locator(".card")).to_have_count(7)

    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, textarea")]
            .filter((field) => !field.labels.length || !field.labels[0].textContent.trim()).length"""
    )

    assert overflow <= 0
    assert unnamed == 0
    assert lowest_contrast(page) >= 4.5


def lowest_contrast(page: Page) -> float:
    """The least contrast of any text with what is behind it, as WCAG counts."""
    script = """() => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const rgb = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
      };
      const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
      };
      const behind = (node) => {
        for (; node; node = node.parentElement) {
          const color = rgb(getComputedStyle(node).backgroundColor);
          if (color[3] === 255) return color;
        }
        return [255, 255, 255];
      };
      const says = (child) => child.nodeType === 3 && child.textContent.trim();
      const texts = [...document.querySelectorAll("body *")].filter(
        (node) => node.checkVisibility() && [...node.childNodes].some(says));
      const contrast = (node) => {
        const pair = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
        return (pair[0] + 0.05) / (pair[1] + 0.05);
      };
      return Math.min(...texts.map(contrast));
    }"""
    return float(page.evaluate(script))


# -- attacks: a rebound name, and a page of another site -----------------------------------------------

ATTACK = """async ([origin, id, mode]) => {
    const answer = { method: "POST", mode, body: JSON.stringify({ response_data: "Publish" }) };
    const replies = [
        await fetch(`${origin}/sandbox/requests/${id}/answer`, answer),
        await fetch(`${origin}/sandbox/state`, { mode }),
        await fetch(`${origin}/page/requests/${id}/answer`, { ...answer, body: new URLSearchParams({ answer: "0" }) }),
    ];
    return Promise.all(replies.map(async (reply) => [reply.status, await reply.text()]));
}"""


@pytest.fixture
def empty_page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def visit(page: Page, address: str) -> None:
    """The attacker's page, as the attacker's own server gave it; every other request really goes out."""
    page.route(f"{address}/", lambda route: route.fulfill(body="<h1>Hello</h1>", content_type="text/html"))
    page.goto(f"{address}/")


def test_a_rebound_name_answers_nothing_and_reads_nothing(
    empty_page: Page, sandbox: Sandbox, api: Caller, loop: str
) -> None:
    request_id = api.request(loop, callback_url="https://hooks.example/callbacks/t0ken")
    address = f"http://evil.example:{urlsplit(sandbox.url).port}"
    visit(empty_page, address)

    replies = empty_page.evaluate(ATTACK, [address, request_id, "same-origin"])

    assert [status for status, _ in replies] == [421, 421, 421]
    assert "t0ken" not in str(replies)
    assert api.read(request_id)["status"] == "pending"


def test_a_page_of_another_site_answers_nothing_and_reads_nothing(
    empty_page: Page, sandbox: Sandbox, api: Caller, loop: str
) -> None:
    request_id = api.request(loop, callback_url="https://hooks.example/callbacks/t0ken")
    visit(empty_page, f"http://evil.example:{urlsplit(sandbox.url).port}")

    # Status 0: the reply has come, and the browser keeps it from the page.
    replies = empty_page.evaluate(ATTACK, [sandbox.url, request_id, "no-cors"])

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
