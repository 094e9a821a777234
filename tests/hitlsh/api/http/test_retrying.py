"""Which calls both clients repeat, over real HTTP."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hitlsh.api import BadRequest, NotFound, RateLimited, RetryPolicy, ServerError, Unreachable, boolean
from hitlsh.api.calls.chains import ApprovalStep
from tests.hitlsh.api.conftest import Opener
from tests.hitlsh.api.scripted_server import ScriptedReply, ScriptedServer

QUICK = RetryPolicy(backoff=0.01)
#: Every body that any of the calls below can read.
FINE = ScriptedReply(
    body={
        "data": {
            "loop": {"id": "l"}, "loop_id": "l", "user_id": "u", "request_id": "r", "request": {"id": "r"},
            "session": {"id": "s"}, "turn": {"id": "t"}, "approval_chain": {"id": "c"}, "webhook": {"id": "w"},
            "execution_id": "e", "url": "https://cdn.example.com/x", "status": "cancelled",
        }
    }
)  # fmt: skip
STEP = ApprovalStep(approver_ids=("u",))
PUTS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "loops.update": lambda api: api.loops.update("l", name="Payouts"),
    "sessions.update": lambda api: api.sessions.update("s", reviewer_id=""),
    "sessions.decide_turn": lambda api: api.sessions.decide_turn("s", "t", "approve"),
}
DELETES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "loops.delete": lambda api: api.loops.delete("l"),
    "loops.remove_member": lambda api: api.loops.remove_member("l", "u"),
    "requests.cancel": lambda api: api.requests.cancel("r", reason="late"),
}
POSTS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "loops.create": lambda api: api.loops.create("Refunds", "lock"),
    "requests.create": lambda api: api.requests.create("l", "Go?", boolean(), default_response=False),
    "requests.feedback": lambda api: api.requests.feedback("r", rating=5),
    "uploads.image": lambda api: api.uploads.image(b"x", "x.png"),
    "chains.create": lambda api: api.chains.create("r", org_id="o", mode="parallel", steps=[STEP]),
    "sessions.create_turn": lambda api: api.sessions.create_turn("s", "bypass"),
    "workflows.trigger": lambda api: api.workflows.trigger("w", {"order": 17}),
}
PATCHES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "requests.update": lambda api: api.requests.update("r", priority="high"),
    "webhooks.rotate_secret": lambda api: api.webhooks.rotate_secret("w", "n3w"),
}
GETS: dict[str, Callable[[Any], Awaitable[Any]]] = {"loops.get": lambda api: api.loops.get("l")}
IDEMPOTENT = GETS | PUTS | DELETES
NOT_IDEMPOTENT = POSTS | PATCHES


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("call", PUTS | DELETES)
async def test_an_update_and_a_delete_are_repeated_on_a_server_error(opened: Opener, call: str, status: int) -> None:
    with ScriptedServer(ScriptedReply(status=status), FINE).running() as server:
        await IDEMPOTENT[call](opened(base_url=server.base_url, retries=QUICK))

    assert len(server.calls) == 2
    assert server.calls[0] == server.calls[1]


@pytest.mark.parametrize("call", PUTS | DELETES)
async def test_an_update_and_a_delete_are_repeated_when_the_reply_is_lost(opened: Opener, call: str) -> None:
    with ScriptedServer(ScriptedReply(drops=True), FINE).running() as server:
        await IDEMPOTENT[call](opened(base_url=server.base_url, retries=QUICK))

    assert len(server.calls) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("call", NOT_IDEMPOTENT)
async def test_what_creates_is_never_repeated_on_a_server_error(opened: Opener, call: str, status: int) -> None:
    with ScriptedServer(ScriptedReply(status=status), FINE).running() as server, pytest.raises(ServerError):
        await NOT_IDEMPOTENT[call](opened(base_url=server.base_url, retries=QUICK))

    assert len(server.calls) == 1


@pytest.mark.parametrize("call", NOT_IDEMPOTENT)
async def test_what_creates_is_never_repeated_when_the_reply_is_lost(opened: Opener, call: str) -> None:
    with ScriptedServer(ScriptedReply(drops=True), FINE).running() as server, pytest.raises(Unreachable) as lost:
        await NOT_IDEMPOTENT[call](opened(base_url=server.base_url, retries=QUICK))

    assert lost.value.sent
    assert len(server.calls) == 1


@pytest.mark.parametrize("call", IDEMPOTENT | NOT_IDEMPOTENT)
async def test_every_call_is_repeated_on_a_rate_limit(opened: Opener, call: str) -> None:
    limited = ScriptedReply(status=429, headers={"Retry-After": "0"})

    with ScriptedServer(limited, limited, FINE).running() as server:
        await (IDEMPOTENT | NOT_IDEMPOTENT)[call](opened(base_url=server.base_url, retries=QUICK))

    assert len(server.calls) == 3
    assert len({(method, path) for method, path, _ in server.calls}) == 1


@pytest.mark.parametrize("call", ["loops.get", "loops.update", "loops.delete", "requests.create"])
async def test_a_rate_limit_that_outlasts_the_longest_wait_is_raised_at_once(opened: Opener, call: str) -> None:
    reset = str(int(time.time()) + 1_800)

    with (
        ScriptedServer(ScriptedReply(status=429, headers={"X-RateLimit-Reset": reset}), FINE).running() as server,
        pytest.raises(RateLimited),
    ):
        await (IDEMPOTENT | NOT_IDEMPOTENT)[call](opened(base_url=server.base_url, retries=QUICK))

    assert len(server.calls) == 1


@pytest.mark.slow
async def test_the_waits_of_one_call_stay_within_the_longest_wait(opened: Opener) -> None:
    with (
        ScriptedServer(ScriptedReply(status=429, headers={"Retry-After": "1"})).running() as server,
        pytest.raises(RateLimited),
    ):
        await opened(base_url=server.base_url, retries=RetryPolicy(max_wait=1.5)).loops.create("Refunds", "lock")

    assert len(server.calls) == 2
    assert 0.9 <= server.times[1] - server.times[0] < 5


async def test_the_attempts_of_an_update_end(opened: Opener) -> None:
    with ScriptedServer(ScriptedReply(status=503)).running() as server, pytest.raises(ServerError):
        await opened(base_url=server.base_url, retries=RetryPolicy(attempts=3, backoff=0.01)).loops.delete("l")

    assert server.methods == ["DELETE"] * 3


@pytest.mark.parametrize("first", [ScriptedReply(status=502), ScriptedReply(drops=True)], ids=["502", "lost reply"])
@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (400, BadRequest)])
async def test_a_repeated_delete_that_is_refused_tells_of_the_earlier_attempt(
    opened: Opener, first: ScriptedReply, status: int, error: type[Exception]
) -> None:
    refusal = ScriptedReply(status=status, body={"msg": "Loop not found"})

    with (
        ScriptedServer(first, refusal).running() as server,
        pytest.raises(error, match="an earlier attempt may have been carried out") as refused,
    ):
        await opened(base_url=server.base_url, retries=QUICK).loops.delete("l")

    assert isinstance(refused.value.earlier_failure, ServerError | Unreachable)  # type: ignore[attr-defined] # of both


async def test_an_error_after_a_rate_limit_tells_of_no_earlier_attempt(opened: Opener) -> None:
    limited = ScriptedReply(status=429, headers={"Retry-After": "0"})

    with ScriptedServer(limited, ScriptedReply(status=404)).running() as server, pytest.raises(NotFound) as refused:
        await opened(base_url=server.base_url, retries=QUICK).loops.delete("l")

    assert refused.value.earlier_failure is None
    assert "earlier attempt" not in str(refused.value)
