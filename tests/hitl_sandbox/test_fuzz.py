"""Any body gets a reply in the envelope that is no 500, and the page still renders."""

import copy
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import CONFIGS, NO_ID, Caller, ask

PATIENT = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(["approve", "image", "deferred", "https://example.com/x", "http://[x", NO_ID]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["value", "label", "options", "min", "max", "a"]), inner, max_size=3),
    ),
    max_leaves=8,
)

BODIES: dict[str, list[dict[str, Any]]] = {
    "/loops": [{"name": "x", "icon": "bell", "description": "d"}],
    "/loops/{loop}/requests": [ask(kind, callback_url="https://example.com/x", context={}) for kind in CONFIGS],
    "/requests": [ask() | {"loop_id": NO_ID, "timeout_minutes": 5}],
    "/requests/{request}/feedback": [{"feedback": {"rating": 1, "comment": "c", "category": "issue"}}],
    "/requests/{request}/approval-chain": [
        {"org_id": "o", "mode": "parallel", "steps": [{"step_order": 1, "approver_ids": ["a"]}]}
    ],
    "/webhooks": [{"url": "https://example.com", "events": ["*"], "secret": "s", "loop_id": NO_ID}],
    "/sessions": [{"agent_type": "claude", "context": {"repo": "r"}}],
    "/sessions/{session}/turns": [
        {"action_type": "bypass", "agent_prompt": "p", "proposed_tool": "t", "proposed_args": {}}
    ],
    "/workflows/w/trigger": [{"callback_url": "https://example.com"}],
}


def paths(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a body."""
    inside = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [path, *(below for name, value in inside for below in paths(value, (*path, name)))]


def with_change(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(BODIES))
def test_no_body_breaks_the_api_or_the_page(sandbox: Sandbox, api: Caller, loop: str, path: str) -> None:
    request_id = api.request(loop)
    sandbox.answer(request_id, "Publish")
    session = api.post("/sessions", {}).json()["data"]["session"]["id"]
    address = path.format(loop=loop, request=request_id, session=session)

    @PATIENT
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        body = data.draw(st.sampled_from(BODIES[path]))
        changed = with_change(body, data.draw(st.sampled_from(paths(body))), data.draw(JSON))

        reply = api.post(address, changed)

        assert reply.status_code < 500, (changed, reply.text)
        assert isinstance(reply.json()["error"], bool)

    holds()
    assert httpx.get(sandbox.url).status_code == 200
    for listed in ("/loops", "/requests", "/sessions", f"/sessions/{session}/turns", f"/loops/{loop}/requests"):
        assert api.get(listed).status_code == 200
    assert sandbox.state()["calls"]["total"] > 60


@pytest.mark.slow
@PATIENT
@given(response_type=st.sampled_from(sorted(CONFIGS)), answer=JSON)
def test_no_answer_breaks_the_control_route(running_sandbox: Sandbox, response_type: str, answer: Any) -> None:
    caller = Caller(running_sandbox)
    request_id = caller.request(caller.loop(), response_type)

    reply = httpx.post(f"{running_sandbox.url}/sandbox/requests/{request_id}/answer", json={"response_data": answer})

    caller.close()
    assert reply.status_code in (200, 400), (response_type, answer, reply.text)
