import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, refusal
from tests.hitl_sandbox.receiver import Receiver


@pytest.mark.parametrize("path", ["/workflows/wf_1/trigger", "/workflows/webhook/wf_1"])
def test_a_trigger_starts_an_execution_somebody_decides(
    sandbox: Sandbox, api: Caller, receiver: Receiver, path: str
) -> None:
    api.prefix = ""
    reply = api.post(path, {"order": 7, "callback_url": receiver.url})
    execution_id = reply.json()["data"]["execution_id"]
    (request,) = api.get("/requests").json()["data"]["requests"]
    sandbox.answer(request["id"], "approve")

    sandbox.settle()

    (body,) = receiver.bodies()
    assert execution_id.startswith("exec_")
    assert (body["event"], body["execution_id"]) == ("execution.completed", execution_id)
    assert (body["workflow_id"], body["response_data"]) == ("wf_1", "approve")


@pytest.mark.parametrize("body", [[1, 2], "text", 0, None])
def test_a_trigger_takes_any_json(api: Caller, body: object) -> None:
    reply = api.call("POST", "/workflows/wf_1/trigger", json=body) if body is not None else None
    reply = reply or api.call("POST", "/workflows/wf_1/trigger", content=b"null")

    assert reply.status_code == 200


def test_a_trigger_takes_nothing_else(api: Caller) -> None:
    reply = api.call("POST", "/workflows/wf_1/trigger", content=b"{")

    assert refusal(reply) == (400, "Invalid request body", None)


@pytest.mark.parametrize("path", ["/workflows/wf_1/trigger", "/workflows/webhook/wf_1"])
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_reply_names_the_request_to_poll(sandbox: Sandbox, api: Caller, prefix: str, path: str) -> None:
    api.prefix = prefix
    started = api.post(path, {"order": 7}).json()["data"]

    assert api.read(started["request_id"])["status"] == "pending"
    assert started == {
        "execution_id": started["execution_id"],
        "request_id": started["request_id"],
        "workflow_id": "wf_1",
        "status": "running",
        "response_data": None,
        "response_by_user": None,
        "response_time_seconds": None,
        "created_at": "2026-09-21T14:20:00Z",
        "completed_at": None,
    }


def test_an_execution_ends_with_its_request(sandbox: Sandbox, api: Caller) -> None:
    started = api.post("/workflows/wf_1/trigger", {"order": 7}).json()["data"]
    sandbox.advance(60)
    sandbox.answer(started["request_id"], "approve")

    ended = sandbox.execution(started["execution_id"])

    changed = {name: value for name, value in ended.items() if value != started[name]}
    person = changed.pop("response_by_user")
    assert set(person) == {"id", "name", "email"}
    assert changed == {
        "status": "completed",
        "response_data": "approve",
        "response_time_seconds": 60,
        "completed_at": "2026-09-21T14:21:00Z",
    }


def test_an_execution_nobody_answers_times_out_when_it_is_time_sensitive(sandbox: Sandbox, api: Caller) -> None:
    urgent, later = (
        api.post("/workflows/wf_1/trigger", timing).json()["data"]
        for timing in ({"processing_type": "time-sensitive", "timeout_seconds": 600}, {"processing_type": "deferred"})
    )
    sandbox.advance(600)

    ended, running = sandbox.execution(urgent["execution_id"]), sandbox.execution(later["execution_id"])

    assert (ended["status"], ended["completed_at"]) == ("timeout", "2026-09-21T14:30:00Z")
    assert (ended["response_data"], ended["response_by_user"]) == (None, None)
    assert running["status"] == "running"
    assert api.read(urgent["request_id"])["processing_type"] == "time-sensitive"
    assert api.read(later["request_id"])["processing_type"] == "deferred"


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (
            {"processing_type": "soon"},
            (400, "Validation failed", "processing_type must be one of: time-sensitive, deferred"),
        ),
        (
            {"processing_type": "time-sensitive"},
            (400, "timeout_seconds is required for time-sensitive requests", None),
        ),
        (
            {"processing_type": "time-sensitive", "timeout_seconds": 59},
            (400, "Validation failed", "timeout_seconds must be between 60 and 86400"),
        ),
    ],
    ids=["type", "missing", "short"],
)
def test_a_trigger_keeps_the_rules_of_a_timeout(api: Caller, timing: object, expected: object) -> None:
    assert refusal(api.post("/workflows/wf_1/trigger", timing)) == expected


def test_an_unknown_execution_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError, match="Execution not found"):
        sandbox.execution("exec_unknown")
