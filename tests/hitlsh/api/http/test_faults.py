"""What both clients do when HITL.sh, or the way there, is in trouble."""

import asyncio
import socket
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import (
    AsyncClient,
    BudgetExhausted,
    LocalBudget,
    RateLimit,
    RateLimited,
    RetryPolicy,
    ServerError,
    UnexpectedReply,
    Unreachable,
    boolean,
)


def methods(sandbox: Sandbox) -> list[str]:
    return [call["method"] for call in sandbox.calls()]


async def posts(sandbox: Sandbox, count: int) -> None:
    """Wait until so many POSTs are through."""
    for _ in range(500):
        if methods(sandbox).count("POST") >= count:
            return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_read_outlives_a_server_error(api: Any, sandbox: Sandbox, status: int) -> None:
    sandbox.fault("error", status=status, times=2)

    assert (await api.test()).account_status == "active"
    assert methods(sandbox) == ["GET", "GET", "GET"]


async def test_a_read_gives_up_in_the_end(api: Any, sandbox: Sandbox) -> None:
    sandbox.fault("error", times=None)

    with pytest.raises(ServerError, match="answered 500: Internal server error"):
        await api.test()
    assert len(methods(sandbox)) == 4


@pytest.mark.parametrize(("stage", "made"), [("before", 0), ("after", 1)])
async def test_a_create_is_made_once_whatever_happens(
    api: Any, loop_id: str, sandbox: Sandbox, stage: str, made: int
) -> None:
    sandbox.fault("error", stage=stage, match={"method": "POST"}, times=None)

    with pytest.raises(ServerError, match="check first whether the request exists"):
        await api.requests.create(loop_id, "Go?", boolean(), default_response=False)
    assert methods(sandbox).count("POST") == 2  # the loop of the fixture and the request
    assert len(await api.requests.list_of_loop(loop_id)) == made


@pytest.mark.slow
async def test_a_create_whose_reply_is_lost_is_made_once(opened: Any, loop_id: str, sandbox: Sandbox) -> None:
    api = opened(timeout=0.3)
    sandbox.fault("slow", seconds=0.6, match={"method": "POST"})

    with pytest.raises(Unreachable, match="may have acted on it") as lost:
        await api.requests.create(loop_id, "Go?", boolean(), default_response=False)

    assert lost.value.sent
    assert "hitl_test" not in f"{lost.value!r}{lost.value.__cause__!r}{lost.value.__context__!r}"
    await posts(sandbox, 2)  # the loop of the fixture, and the request, which is still being served
    assert methods(sandbox).count("POST") == 2


async def test_nobody_listening_is_unreachable_and_nothing_was_sent(opened: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = opened(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", retries=RetryPolicy(attempts=1))

        with pytest.raises(Unreachable, match="check the network and the base URL") as refused:
            await api.loops.create("Refunds", "lock")

    assert refused.value.sent is False


@pytest.mark.parametrize("kind", ["truncated_json", "wrong_content_type"])
async def test_a_spoiled_reply_is_said_to_be_one(api: Any, sandbox: Sandbox, kind: str) -> None:
    sandbox.fault(kind)

    with pytest.raises(UnexpectedReply, match="not a JSON object") as spoiled:
        await api.test()

    assert spoiled.value.status == 200
    assert spoiled.value.body


@pytest.mark.parametrize("form", ["hour", "usage", "rate-data", "request-data", "reset-at", "top-level"])
async def test_every_form_of_the_rate_limit_is_understood(api: Any, sandbox: Sandbox, form: str) -> None:
    sandbox.configure(rate_limit=1, rate_limit_body=form)
    await api.test()

    with pytest.raises(RateLimited) as limited:
        await api.loops.list()

    assert limited.value.status == 429
    assert limited.value.reset_at == api.rate_limit.reset_at
    assert (api.rate_limit.reset_at.minute, api.rate_limit.reset_at.second) == (0, 0)
    assert api.rate_limit.remaining == 0


async def test_a_budget_stops_before_hitl_sh_does(opened: Any, sandbox: Sandbox) -> None:
    api = opened(budget=LocalBudget(2))
    await api.test()
    await api.test()

    with pytest.raises(BudgetExhausted, match="used its 2 calls"):
        await api.test()

    assert len(methods(sandbox)) == 2


async def test_a_budget_learns_what_others_have_used(opened: Any, sandbox: Sandbox) -> None:
    sandbox.configure(rate_limit=3)
    other, api = opened(), opened(budget=LocalBudget(100))
    await other.test()
    await api.test()
    await api.test()

    with pytest.raises(BudgetExhausted):
        await api.test()

    assert len(methods(sandbox)) == 3


class Shared:
    """A budget elsewhere: asking it takes a round trip."""

    def __init__(self) -> None:
        self.spent = 0
        self.seen: list[RateLimit] = []

    async def spend(self) -> float:
        self.spent += 1
        return 0.0 if self.spent > 1 else 0.01

    async def observe(self, rate_limit: RateLimit) -> None:
        self.seen.append(rate_limit)


async def test_the_asyncio_client_awaits_a_budget_elsewhere(sandbox: Sandbox) -> None:
    budget = Shared()
    async with AsyncClient("hitl_test_key", base_url=sandbox.base_url, budget=budget) as api:
        await api.test()

    assert budget.spent == 2
    assert [seen.remaining for seen in budget.seen] == [99]
