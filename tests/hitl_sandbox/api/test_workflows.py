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
