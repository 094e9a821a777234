"""Asking clients with a real server and a sandbox: what the inbox tracks, and the calls that it costs."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import BudgetExhausted, Client, SentRequest, ServerError, single_select
from hitlsh.api.models.requests import CreatedRequest
from hitlsh.callbacks import CallbackSigner, StateTooLarge
from hitlsh.request_details import RequestDetails
from service.local.embedded_server import EmbeddedServer
from workers.asking import asking_client, async_asking_client, callback_url, entry
from workers.errors import CannotAsk
from workers.inbox import keys
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.tracker import tracked_requests
from workers.reconcile import runner
from workers.reconcile.api_reading import callback_of
from workers.settings import Settings

KEY = "hitl_test_0123456789abcdef"
SECRET = "a-callback-key-of-these-tests-01"
PICK = single_select("Approve", "Reject")
NOW = 1_772_000_000.0


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return Settings(
        redis_url="redis://unused",
        api_key=KEY,
        base_url=sandbox.base_url,
        callback_secrets=(SECRET,),
        public_url="https://hooks.example.com",
    )


@pytest.fixture
def loop_id(sandbox: Sandbox) -> str:
    with Client(KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Refunds", "lock").loop
    sandbox.add_member(loop.id, "kim@example.org", name="Kim")
    return loop.id


@pytest.fixture
def ask(settings: Settings, redis: Redis, loop_id: str) -> Callable[..., CreatedRequest]:
    def asked(**options: Any) -> CreatedRequest:
        usual: dict[str, Any] = {"default_response": "Reject", "timeout_seconds": 600}
        with asking_client(settings, redis) as client:
            return client.requests.create(loop_id, "Refund order 17?", PICK, **usual | options)

    return asked


def known(redis: Redis, request_id: str) -> dict[str, str]:
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.request(request_id)))
    return {name.decode(): value.decode() for name, value in found.items()}


# -- what the inbox knows ------------------------------------------------------------------------------


def test_an_asked_request_is_tracked(ask: Callable[..., CreatedRequest], redis: Redis) -> None:
    created = ask()

    fields = known(redis, created.request_id)
    assert created.timeout_at is not None
    asked = msgspec.json.decode(fields["details:asked"], type=RequestDetails)
    assert (fields["learned"], asked.default_response, asked.text) == ("asked", "Reject", "Refund order 17?")
    assert float(fields["timeout_at"]) == created.timeout_at.timestamp()
    assert float(fields["created_at"]) == created.timeout_at.timestamp() - 600
    assert redis.zscore(keys.ASKED, created.request_id) == float(fields["created_at"])
    assert redis.zscore(keys.CHECKS, created.request_id) is not None


def test_a_state_is_bound_to_its_request(ask: Callable[..., CreatedRequest], redis: Redis, settings: Settings) -> None:
    url = callback_url(settings, {"order": 17})

    created = ask(callback_url=url)

    token = CallbackSigner([SECRET]).read(url.rsplit("/", 1)[1])
    bound = msgspec.json.decode(known(redis, created.request_id)["callback"])
    assert bound == {"id": token.id, "state": {"order": 17}}
    assert redis.get(f"{keys.PREFIX}token:{token.id}") == created.request_id.encode()


@pytest.mark.parametrize("default", [False, 0, "", []])
def test_a_falsy_default_is_tracked(redis: Redis, default: Any) -> None:
    created = CreatedRequest(request_id="66c0ffee00000000000000a1")

    kept = entry(created, SentRequest(details=RequestDetails(default_response=default)), None, NOW)
    tracked_requests.track(redis, kept, retention=86_400)

    details = msgspec.json.decode(known(redis, created.request_id)["details:asked"], type=RequestDetails)
    assert details.default_response == default
    assert type(details.default_response) is type(default)


async def test_asyncio_asks_through_the_inbox_too(
    settings: Settings, redis: Redis, async_redis: AsyncRedis, loop_id: str
) -> None:
    async with async_asking_client(settings, async_redis) as client:
        created = await client.requests.create(loop_id, "Refund?", PICK, default_response="Reject")

    assert known(redis, created.request_id)["learned"] == "asked"


# -- what goes wrong -----------------------------------------------------------------------------------


#: Asks, and is killed in the moment in which the request tracker would be told.
DIES = """
import os, signal, sys
from redis import Redis
from hitlsh import single_select
from hitlsh.api import Client
from workers.asking import RedisRequestRecorder
from workers.reconcile.api_reading import callback_of

class Killed(RedisRequestRecorder):
    def record(self, created, sent):
        os.kill(os.getpid(), signal.SIGKILL)

key, base_url, redis_url, loop_id = sys.argv[1:]
with Client(key, base_url=base_url, recorder=Killed(Redis.from_url(redis_url), retention=60)) as client:
    client.requests.create(loop_id, "Refund?", single_select("Approve", "Reject"), default_response="Reject")
"""


@pytest.mark.slow
def test_what_a_killed_program_asked_is_found_by_a_reconcile_run(
    server: EmbeddedServer, redis: Redis, sandbox: Sandbox, settings: Settings, loop_id: str
) -> None:
    words = [sys.executable, "-c", DIES, KEY, sandbox.base_url, server.url, loop_id]

    died = subprocess.run(words, check=False, timeout=30)
    [request] = sandbox.state()["requests"]
    known_before = redis.zcard(keys.ASKED)
    runner.run(settings, redis)

    assert (died.returncode, known_before) == (-signal.SIGKILL, 0)
    assert known(redis, request["id"])["learned"] == "listing"


def test_a_reply_that_is_lost_leaves_the_request_to_discovery(
    ask: Callable[..., CreatedRequest], redis: Redis, sandbox: Sandbox
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})

    with pytest.raises(ServerError, match="check first whether the request exists"):
        ask()

    assert len(sandbox.state()["requests"]) == 1
    assert redis.zcard(keys.ASKED) == 0


def test_a_recorder_that_cannot_be_written_does_not_hide_the_request(
    ask: Callable[..., CreatedRequest], redis: Redis, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(keys.ASKED, "not a sorted set")

    created = ask()

    assert [request["id"] for request in sandbox.state()["requests"]] == [created.request_id]
    assert caplog.messages == [f"recorder.failed subject={created.request_id} error=ResponseError"]


# -- what it costs -------------------------------------------------------------------------------------


def test_clients_share_one_budget(ask: Callable[..., CreatedRequest], redis: Redis) -> None:
    before = RedisBudget(redis, KEY).available()

    ask()
    ask()

    assert RedisBudget(redis, KEY).read().asked == 2
    # HITL.sh was heard: the loop that the fixture made without a budget is counted too.
    assert RedisBudget(redis, KEY).available() > before
    assert RedisBudget(redis, KEY).available() <= 98


def test_without_calls_nothing_is_asked_and_the_error_says_when_calls_return(
    ask: Callable[..., CreatedRequest], redis: Redis, sandbox: Sandbox
) -> None:
    budget = RedisBudget(redis, KEY)
    while budget.spend() == 0.0:
        pass

    with pytest.raises(BudgetExhausted) as exhausted:
        ask()

    assert exhausted.value.reset_at is not None
    assert sandbox.state()["requests"] == []


# -- callback URLs and settings ------------------------------------------------------------------------


def test_only_a_callback_url_of_ours_is_bound(settings: Settings) -> None:
    signer = CallbackSigner([SECRET])
    ours = callback_url(settings, 7)

    bound = callback_of(ours, signer)

    assert bound is not None
    assert bound.state == 7
    assert callback_of(f"{ours}/", signer) == bound
    for other in (None, "https://example.com/x", "https://example.com/callbacks/x", f"{ours[:-2]}zz"):
        assert callback_of(other, signer) is None
    assert callback_of(ours, None) is None


def test_a_foreign_callback_url_is_tracked_without_a_callback() -> None:
    created = CreatedRequest(request_id="66c0ffee00000000000000a1")

    kept = entry(created, SentRequest(callback_url="https://example.com/x", timeout_seconds=90), None, NOW)

    assert (kept.callback, kept.created_at, kept.timeout_at) == (None, NOW, NOW + 90)


def test_a_timeout_that_hitl_sh_changed_says_nothing_of_the_creation() -> None:
    reply = {"request_id": "66c0ffee00000000000000a1", "timeout_at": "2030-01-01T00:00:00Z"}

    kept = entry(CreatedRequest.from_payload(reply), SentRequest(timeout_seconds=600), None, NOW)

    assert kept.created_at == NOW
    assert kept.timeout_at == 1_893_456_000.0


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [({"callback_secrets": ()}, "HITL_CALLBACK_SECRETS is not set"), ({"public_url": None}, "HITL_PUBLIC_URL")],
)
def test_a_callback_url_that_cannot_be_minted_says_what_to_set(missing: Any, complaint: str) -> None:
    usual = {"redis_url": "redis://unused", "callback_secrets": (SECRET,), "public_url": "https://hooks.example.com"}

    with pytest.raises(CannotAsk, match=complaint):
        callback_url(Settings(**usual | missing))


def test_a_state_that_is_too_large_is_refused(settings: Settings) -> None:
    with pytest.raises(StateTooLarge):
        callback_url(settings, "x" * 3_000)


def test_asking_without_a_key_says_what_to_set(redis: Redis) -> None:
    with pytest.raises(CannotAsk, match="HITL_API_KEY is not set"):
        asking_client(Settings(redis_url="redis://unused"), redis)
