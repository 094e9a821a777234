import threading
from typing import Any

import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import NO_ID, Caller, refusal
from tests.hitl_sandbox.receiver import Receiver

CONTEXT = {"repo": "shop", "branch": "main", "commit": "abc", "task": "tidy"}
DAY = 86400


@pytest.fixture
def session(api: Caller) -> str:
    reply = api.post("/sessions", {"context": CONTEXT})
    return str(reply.json()["data"]["session"]["id"])


def propose(api: Caller, session: str, action_type: str = "git_push") -> dict[str, Any]:
    body = {
        "action_type": action_type,
        "agent_prompt": "Push?",
        "proposed_tool": "Bash",
        "proposed_args": {"a": 1},
    }
    reply = api.post(f"/sessions/{session}/turns", body)
    assert (reply.status_code, reply.json()["msg"]) == (201, "turn created")
    return dict(reply.json()["data"]["turn"])


def test_a_session_begins_with_its_own_loop(api: Caller, session: str) -> None:
    actual = api.get(f"/sessions/{session}").json()["data"]["session"]

    loop = api.get(f"/loops/{actual['loop_id']}").json()["data"]["loop"]
    assert loop["name"] == "claude — shop"
    assert (actual["status"], actual["agent_type"], actual["turn_count"]) == ("active", "claude", 0)
    assert actual["context"] == CONTEXT


def test_a_session_can_use_a_loop(api: Caller, other_account: Caller, loop: str) -> None:
    reply = api.post("/sessions", {"agent_type": "codex", "loop_id": loop})
    foreign = other_account.post("/sessions", {"loop_id": loop})

    assert (reply.status_code, reply.json()["msg"]) == (201, "session created")
    assert reply.json()["data"]["session"]["loop_id"] == loop
    assert refusal(foreign) == (403, "Access denied to this loop", None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"agent_type": "emacs"}, ("Validation failed", "agent_type must be one of: claude, codex")),
        ({"context": []}, ("Validation failed", "context must be an object")),
        ({"loop_id": "x"}, ("Invalid loop ID format", None)),
    ],
)
def test_a_session_that_breaks_a_rule_is_refused(
    api: Caller, body: dict[str, Any], expected: tuple[str, object]
) -> None:
    assert refusal(api.post("/sessions", body)) == (400, *expected)


def test_sessions_are_listed_and_filtered(api: Caller, other_account: Caller, session: str) -> None:
    other = api.post("/sessions", {"agent_type": "codex"}).json()["data"]["session"]["id"]
    api.post(f"/sessions/{other}/pause")

    everything = api.get("/sessions").json()["data"]
    paused = api.get("/sessions", status="paused", agent_type="codex").json()["data"]
    second = api.get("/sessions", limit=1, offset=1).json()["data"]

    assert [item["id"] for item in everything["sessions"]] == [other, session]
    assert [item["id"] for item in paused["sessions"]] == [other]
    assert [item["id"] for item in second["sessions"]] == [session]
    assert other_account.get("/sessions").json()["data"]["count"] == 0
    assert api.get("/sessions", limit=0).status_code == 400
    assert api.get("/sessions", offset="x").status_code == 400
    assert api.get("/sessions", status="odd").status_code == 400


def test_a_session_can_be_changed(api: Caller, session: str) -> None:
    given = api.call("PUT", f"/sessions/{session}", json={"reviewer_id": "u1", "context": {}})
    cleared = api.call("PUT", f"/sessions/{session}", json={"reviewer_id": ""})

    assert given.json()["data"]["session"]["reviewer_id"] == "u1"
    assert cleared.json()["data"]["session"]["reviewer_id"] is None


def test_transitions_follow_the_documents(api: Caller, session: str) -> None:
    def move(transition: str) -> int:
        return api.post(f"/sessions/{session}/{transition}").status_code

    assert [move("resume"), move("pause"), move("pause"), move("resume")] == [409, 200, 409, 200]
    assert [move("complete"), move("complete"), move("pause")] == [200, 200, 409]


def test_a_paused_session_takes_no_turns(api: Caller, session: str) -> None:
    api.post(f"/sessions/{session}/pause")

    reply = api.post(f"/sessions/{session}/turns", {"action_type": "git_push"})

    assert refusal(reply)[0] == 409


def test_an_idle_session_is_abandoned_and_later_gone(sandbox: Sandbox, api: Caller, session: str) -> None:
    sandbox.advance(DAY)
    abandoned = api.get(f"/sessions/{session}").json()["data"]["session"]["status"]
    completed = api.post(f"/sessions/{session}/complete").status_code
    sandbox.advance(30 * DAY)

    assert (abandoned, completed) == ("abandoned", 409)
    assert refusal(api.get(f"/sessions/{session}")) == (404, "session not found", None)


def test_a_turn_is_backed_by_a_request(api: Caller, session: str) -> None:
    turn = propose(api, session)

    request = api.read(turn["request_id"])
    assert (turn["turn_number"], turn["human_decision"]) == (1, None)
    assert request["response_config"] == {"options": ["approve", "modify", "reject", "escalate"]}
    assert request["priority"] == "high"
    assert request["context"]["turn_id"] == turn["id"]
    assert request["context"]["branch"] == "main"
    assert api.read(propose(api, session, "file_write")["request_id"])["priority"] == "medium"


def test_turns_are_listed_and_read(api: Caller, session: str) -> None:
    turn = propose(api, session)

    assert api.get(f"/sessions/{session}/turns").json()["data"] == {"turns": [turn], "count": 1}
    assert api.get(f"/sessions/{session}/turns/{turn['id']}").json()["data"]["turn"] == turn
    assert refusal(api.get(f"/sessions/{session}/turns/{NO_ID}")) == (404, "turn not found", None)


def test_a_decided_turn_completes_its_request(api: Caller, session: str) -> None:
    turn = propose(api, session)
    path = f"/sessions/{session}/turns/{turn['id']}"

    first = api.call("PUT", path, json={"decision": "modify", "comment": "softer"})
    second = api.call("PUT", path, json={"decision": "approve"})

    assert first.json()["data"]["turn"]["human_comment"] == "softer"
    assert api.read(turn["request_id"])["response_data"] == "modify"
    assert refusal(second) == (409, "turn already resolved", None)


def test_answering_the_request_decides_the_turn(sandbox: Sandbox, api: Caller, session: str) -> None:
    turn = propose(api, session)

    sandbox.answer(turn["request_id"], "reject")

    actual = api.get(f"/sessions/{session}/turns/{turn['id']}").json()["data"]["turn"]
    assert (actual["human_decision"], actual["human_comment"]) == ("reject", None)


@pytest.mark.parametrize("body", [{"decision": "maybe"}, {"decision": "approve", "comment": 5}, {}])
def test_a_decision_that_breaks_a_rule_is_refused(api: Caller, session: str, body: dict[str, Any]) -> None:
    reply = api.call("PUT", f"/sessions/{session}/turns/{propose(api, session)['id']}", json=body)

    assert refusal(reply)[:2] == (400, "Validation failed")


def test_waiting_ends_with_the_decision(sandbox: Sandbox, api: Caller, session: str) -> None:
    turn = propose(api, session)
    replies: list[httpx.Response] = []
    path = f"/sessions/{session}/turns/{turn['id']}/wait"
    waiting = threading.Thread(target=lambda: replies.append(api.get(path, timeout=20)))
    waiting.start()

    sandbox.answer(turn["request_id"], "approve")
    waiting.join()

    assert (replies[0].status_code, replies[0].json()["msg"]) == (200, "turn resolved")
    assert replies[0].json()["data"]["turn"]["human_decision"] == "approve"


@pytest.mark.slow
def test_waiting_in_vain_is_a_408_without_error(api: Caller, session: str) -> None:
    turn = propose(api, session)

    reply = api.get(f"/sessions/{session}/turns/{turn['id']}/wait", timeout=1)

    body = reply.json()
    assert (reply.status_code, body["error"], body["msg"]) == (408, False, "timeout — turn still pending")
    assert body["data"] == {"turn": turn, "pending": True}


@pytest.mark.parametrize("timeout", ["0", "301", "x"])
def test_nobody_waits_longer_than_five_minutes(api: Caller, session: str, timeout: str) -> None:
    reply = api.get(f"/sessions/{session}/turns/{propose(api, session)['id']}/wait", timeout=timeout)

    assert refusal(reply)[:2] == (400, "Validation failed")


def test_what_was_done_is_reported(api: Caller, session: str) -> None:
    path = f"/sessions/{session}/turns/{propose(api, session)['id']}/action"
    action = {"success": True, "exit_code": 0, "stdout": "x" * 5000}

    reply = api.post(path, {"action": action, "files_modified": ["a.py"]})

    turn = reply.json()["data"]["turn"]
    assert turn["files_modified"] == ["a.py"]
    assert len(turn["action_taken"]["stdout"]) == 4096
    assert api.post(path, {"action": {}}).status_code == 400
    assert api.post(path, {"action": action, "files_modified": [1]}).status_code == 400


def test_a_resolved_turn_is_told_on_its_own_schedule(
    sandbox: Sandbox, api: Caller, session: str, receiver: Receiver
) -> None:
    sandbox.add_webhook(receiver.url, "s", events=["turn.*"])
    receiver.answer(500, 500, 500, 500, 500)
    sandbox.answer(propose(api, session)["request_id"], "approve")

    sandbox.advance(1000)

    (delivery,) = sandbox.deliveries()
    moments = [round(attempt["at"] - delivery["created_at"]) for attempt in delivery["attempts"]]
    assert moments == [0, 1, 6, 36]
    assert receiver.bodies()[0]["turn"]["human_decision"] == "approve"


def test_sessions_belong_to_the_key_that_began_them(other_account: Caller, session: str) -> None:
    for path in (f"/sessions/{session}", f"/sessions/{session}/turns", f"/sessions/{NO_ID}"):
        assert refusal(other_account.get(path)) == (404, "session not found", None)
    assert refusal(other_account.get("/sessions/x")) == (400, "Invalid session ID format", None)
