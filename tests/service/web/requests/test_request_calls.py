"""``/requests`` as programs use it: ask, read, list, cancel."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hitlsh.asking.asked_request import decode_asked
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.service.conftest import ENVIRON, serving_here
from tests.service.web.requests.conftest import API_KEY, READER, TOKEN, TOKENS, Asking, AskingReceiver, question

PROBLEM = "application/problem+json"


@pytest.mark.slow
def test_a_question_is_asked(web: AskingReceiver) -> None:
    reply = web.client.post("/requests", json=question(key="refund-42", state={"order": 42}))

    request = decode_asked(reply.content)
    assert (reply.status_code, reply.headers["location"]) == (201, f"/requests/{request.id}")
    assert (request.status, request.key, request.outcome) == ("open", "refund-42", None)
    assert web.client.get(reply.headers["location"]).json() == reply.json()
    assert reply.headers["cache-control"] == "no-store"


def test_the_same_question_with_its_key_is_asked_once(web: AskingReceiver) -> None:
    first = web.client.post("/requests", json=question(key="refund-42"))

    again = web.client.post("/requests", json=question(key="refund-42"))

    assert (again.status_code, again.json()) == (200, first.json())
    assert web.asking.creations() == 1


def test_another_question_with_the_key_is_refused_with_what_differs(web: AskingReceiver) -> None:
    first = web.ask(key="refund-42")

    reply = web.client.post("/requests", json=question(key="refund-42", text="Refund 900 EUR?", priority="high"))

    problem = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (409, PROBLEM)
    assert (problem["fields"], problem["request_id"]) == (["priority", "text"], first["id"])
    assert web.asking.creations() == 1


def test_an_invalid_question_is_told_each_problem(web: AskingReceiver) -> None:
    reply = web.client.post(
        "/requests", json=question(text=" ", default_response="Maybe", escalate_to=[{"loop": "", "timeout_seconds": 1}])
    )

    problem = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM)
    assert {each["field"] for each in problem["problems"]} == {
        "text", "default_response", "escalate_to[0].loop", "escalate_to[0].timeout_seconds",
    }  # fmt: skip
    assert web.asking.creations() == 0


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b'{"text": 1}', "application/json", 422),
        (b"text=Refund", "application/x-www-form-urlencoded", 415),
        (b" " * 200_000, "application/json", 413),
    ],
)
def test_a_body_that_is_no_question_is_refused(
    web: AskingReceiver, body: bytes, content_type: str, status: int
) -> None:
    reply = web.client.post("/requests", content=body, headers={"content-type": content_type})

    assert (reply.status_code, reply.headers["content-type"]) == (status, PROBLEM)


def test_a_loop_that_hitl_does_not_know_is_refused(web: AskingReceiver) -> None:
    reply = web.client.post("/requests", json=question(loop="Nobody"))

    assert (reply.status_code, reply.headers["content-type"]) == (422, PROBLEM)
    assert "'Nobody', and no loop of this API key has that id or name: there are 'Payouts'" in reply.json()["detail"]
    assert web.client.get("/requests").json()["requests"] == []


def test_a_question_waits_until_calls_return(web: AskingReceiver) -> None:
    web.asking.sandbox.fault("rate_limit", times=None, match={"method": "POST"})

    queued = web.client.post("/requests", json=question(key="later"))
    refused = web.client.post("/requests", json=question(key="never", when_limited="refuse"))

    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    assert (refused.status_code, refused.json()["title"]) == (429, "Not asked")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_request_is_found_by_either_id(web: AskingReceiver) -> None:
    request = web.ask()

    assert web.read(request["request_id"]) == web.read(request["id"]) == request


@pytest.mark.parametrize("request_id", ["ask_unknown", "66c0ffee00000000000000b1", "a%20b", "%00", "x" * 300, "é"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_request_is_404(web: AskingReceiver, method: str, request_id: str) -> None:
    reply = web.client.request(method, f"/requests/{request_id}")

    assert (reply.status_code, reply.headers["content-type"]) == (404, PROBLEM)


def test_a_request_is_cancelled(web: AskingReceiver) -> None:
    request = web.ask()

    reply = web.client.delete(f"/requests/{request['id']}")

    assert (reply.status_code, reply.json()["outcome"]["kind"]) == (200, "cancelled")
    assert web.read(request["id"])["status"] == "ended"


def test_what_was_answered_cannot_be_cancelled(web: AskingReceiver) -> None:
    request = web.ask()
    web.asking.sandbox.answer(request["request_id"], "Approve")
    web.wait(request["id"])

    reply = web.client.delete(f"/requests/{request['id']}")

    assert (reply.status_code, reply.json()["title"]) == (409, "Not cancelled")


def test_open_requests_are_listed_page_by_page(web: AskingReceiver) -> None:
    asked = [web.ask(text=f"Question {number}")["id"] for number in range(5)]
    web.asking.sandbox.answer(web.read(asked[0])["request_id"], "Approve")
    web.wait(asked[0])

    listed, after, pages = [], None, 0
    while True:
        page = web.client.get("/requests", params={"limit": 3} | ({"after": after} if after else {})).json()
        listed += [request["id"] for request in page["requests"]]
        pages += 1
        if (after := page["next"]) is None:
            break

    assert (listed, pages) == (asked[1:], 2)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/requests/ask_x?wait=61", "wait"),
        ("/requests/ask_x?wait=-1", "wait"),
        ("/requests/ask_x?wait=nan", "wait"),
        ("/requests/ask_x?wait=1_0", "wait"),
        ("/requests/ask_x?wait=", "wait"),
        ("/requests/ask_x?trust=absolute", "trust"),
        ("/requests/ask_x?wait=1&wait=2", "wait"),
        ("/requests/ask_x?weit=1", "weit"),
        ("/requests?limit=0", "limit"),
        ("/requests?limit=1000", "limit"),
        ("/requests?after=%0a", "after"),
        ("/requests/ask_x/events?wait=1", "wait"),
        (f"/requests?{'limit=1&' * 30}", ""),
    ],
)
def test_a_wrong_parameter_is_named(web: AskingReceiver, path: str, field: str) -> None:
    reply = web.client.get(path)

    assert (reply.status_code, reply.headers["content-type"]) == (400, PROBLEM)
    assert field in {each["field"] for each in reply.json()["problems"]}


def test_a_method_that_is_not_served_is_405(web: AskingReceiver) -> None:
    reply = web.client.put("/requests", json=question())

    assert (reply.status_code, reply.headers["allow"], reply.headers["content-type"]) == (405, "GET, POST", PROBLEM)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {'x' * 5_000}"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/requests"), ("GET", "/requests"), ("GET", "/requests/ask_x/events"), ("DELETE", "/requests/ask_x")],
)
def test_without_a_token_nothing_is_served(
    web: AskingReceiver, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    reply = web.receiver.client.request(method, path, headers=headers)

    assert (reply.status_code, reply.headers["content-type"]) == (401, PROBLEM)
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_token_without_the_scope_may_not_ask(web: AskingReceiver) -> None:
    headers = {"authorization": f"bearer {READER}"}
    request = web.ask()

    asked = web.receiver.client.post("/requests", json=question(), headers=headers)
    cancelled = web.receiver.client.delete(f"/requests/{request['id']}", headers=headers)
    read = web.receiver.client.get(f"/requests/{request['id']}", headers=headers)

    assert (asked.status_code, cancelled.status_code, read.status_code) == (403, 403, 200)


def test_no_token_is_logged(web: AskingReceiver) -> None:
    web.ask()
    web.receiver.client.get("/requests", headers={"authorization": "Bearer a-token-of-nobody-1234"})

    log = web.log()
    assert "request.submitted token=agent" in log
    assert TOKEN not in log
    assert "a-token-of-nobody" not in log


def test_without_tokens_the_paths_do_not_exist(asking: Asking, tmp_path: Path) -> None:
    with serving_here(asking.redis_url, tmp_path, HITL_API_KEY=API_KEY, HITL_PUBLIC_URL="http://127.0.0.1:1") as web:
        for path in ("/requests", "/requests/ask_x", "/requests/ask_x/events", "/openapi.json"):
            reply = web.client.get(path)
            assert (reply.status_code, reply.content) == (404, b"")


def test_tokens_without_an_api_key_are_a_mistake() -> None:
    refused = CliRunner(env=ENVIRON | {"REDIS_URL": "redis://unset", "HITL_TOKENS": TOKENS}).invoke(cli, ["serve"])

    assert refused.exit_code == 2
    assert "needs HITL_API_KEY and HITL_PUBLIC_URL for that" in refused.stderr


@pytest.mark.slow
def test_a_redis_that_is_away_is_503(own_web: AskingReceiver, own_server: EmbeddedServer) -> None:
    request = own_web.ask()
    own_server.kill()
    replies = [own_web.client.get(f"/requests/{request['id']}"), own_web.client.post("/requests", json=question())]
    own_server.start()

    assert [reply.status_code for reply in replies] == [503, 503]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies)
    assert own_web.read(request["id"])["id"] == request["id"]
