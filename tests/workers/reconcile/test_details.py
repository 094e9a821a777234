"""The details of a request reach every decision, by any channel; a route that needs them waits for one read."""

import asyncio
import time
from itertools import permutations
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, Option, single_select
from hitlsh.callbacks import CallbackSigner
from tests.builders import ago, delivery
from tests.inbox_clock import advance
from tests.workers.inbox.invariants import broken
from tests.workers.reconcile.asked import CALLBACK_KEY, HOUR, KEY, reconcile, track
from tests.workers.reconcile.test_confirming import until
from workers import Decision, Router
from workers.asking import RedisRequestRecorder
from workers.handlers.drain import Drain, DrainOptions
from workers.inbox import keys
from workers.inbox.maintenance.repairing import Repairer
from workers.inbox.queries import lookup
from workers.inbox.tracker.api_keys import KeyIndexes
from workers.inbox.worker_inbox import LeaseKeeper, WorkerInbox
from workers.settings import Settings

QUESTION = single_select(Option(value="v1", label="Quite another word"), Option(value="v2", label="Second"))
STATE = {"order": 7}
CONTEXT = {"tier": "gold"}


class Receiver:
    """Three routes: one that needs nothing, one that needs a state, one for all others; and what they were given."""

    def __init__(self, redis: Redis, async_redis: AsyncRedis, settings: Settings) -> None:
        self.redis = redis
        self.settings = settings
        self.inbox = WorkerInbox(async_redis, retention=86_400, lease=5.0)
        self.seen: dict[str, list[Decision]] = {"audit": [], "pay": [], "rest": []}
        self.router = Router()
        self.router.on("request.completed", response="v1", name="audit")(lambda decision: self._keep("audit", decision))
        self.router.on("request.completed", state=STATE, name="pay")(lambda decision: self._keep("pay", decision))

    def _keep(self, name: str, decision: Decision) -> None:
        self.seen[name].append(decision)

    @property
    def runs(self) -> dict[str, int]:
        return {name: len(decisions) for name, decisions in self.seen.items()}

    async def post(self, *deliveries: Any) -> None:
        await self.inbox.accept(list(deliveries))
        await self.work()

    async def work(self) -> None:
        options = DrainOptions(lease=5.0, can_read=self.settings.api_key is not None)
        drain = Drain(self.inbox, self.router, LeaseKeeper(self.redis, lease=5.0), options)
        running = asyncio.create_task(drain.run())
        await until(lambda: self.redis.zcard(keys.DUE) == 0)
        drain.stop()
        await running
        assert broken(self.redis) == []

    async def poll(self) -> None:
        """All that is tracked is worth a call now."""
        checks = KeyIndexes().checks
        for member in self.redis.zrange(checks, 0, -1):
            self.redis.zadd(checks, {member: 1.0}, xx=True)
        await asyncio.to_thread(reconcile, self.settings, self.redis)
        await self.work()


@pytest.fixture
def receiver(redis: Redis, async_redis: AsyncRedis, settings: Settings) -> Receiver:
    return Receiver(redis, async_redis, settings)


class Asked:
    """A request that a person has answered with "v1", and how HITL.sh would deliver that."""

    def __init__(self, request_id: str, loop: str, token: str) -> None:
        self.request_id, self.loop, self.token = request_id, loop, token

    def callback(self) -> Any:
        read = CallbackSigner((CALLBACK_KEY,)).read(self.token)
        body = {
            "event": "request.completed",
            "request_id": self.request_id,
            "loop_id": self.loop,
            "status": "completed",
            "response_data": {"selected_value": "v1", "selected_label": "Quite another word"},
            "response_by": {"user_id": "u1", "name": "Ada", "email": "ada@example.com"},
            "response_at": ago(60),
        }
        return delivery(msgspec.json.encode(body), callback_id=read.id, state=read.state)

    def account_webhook(self) -> Any:
        request = {
            "id": self.request_id,
            "loop_id": self.loop,
            "status": "completed",
            "response_data": "Quite another word",
            "response_by": "u1",
            "response_at": ago(60),
        }
        data = {"request": request, "loop": {"id": self.loop, "name": "Desk"}, "reviewer": {"user_id": "u1"}}
        body = {"event": "request.completed", "timestamp": ago(60), "data": data}
        return delivery(msgspec.json.encode(body), trust="signed")


def ask(sandbox: Sandbox, redis: Redis, loop: str, *, through_us: bool, callback: bool = True) -> Asked:
    signer = CallbackSigner((CALLBACK_KEY,))
    token = signer.mint(STATE)
    recorder = RedisRequestRecorder(redis, signer, retention=86_400, api_key=KEY) if through_us else None
    with Client(KEY, base_url=sandbox.base_url, recorder=recorder) as client:
        created = client.requests.create(
            loop,
            "Pay 120 EUR?",
            QUESTION,
            default_response="Second",
            timeout_seconds=86_400,
            context=CONTEXT,
            callback_url=signer.url("http://127.0.0.1:9", token) if callback else None,
        )
    if through_us:  # two hours ago, as by the sandbox's clock
        redis.hset(keys.request(created.request_id), "created_at", f"{time.time() - 2 * HOUR:.6f}")
    sandbox.answer(created.request_id, "v1")
    return Asked(created.request_id, loop, token)


def shown(decision: Decision) -> dict[str, Any]:
    """All fields that a handler may decide by, except trust and reviewer."""
    names = ("request_id", "outcome", "source", "response", "labels", "response_type", "loop_id", "default_response")
    asked = decision.question
    return {name: getattr(decision, name) for name in (*names, "state", "metadata")} | {
        "question": (asked.text, asked.options, asked.context, asked.priority)
    }


DELIVERIES = ("callback", "account_webhook", "poll")
ORDERS = [order for count in (1, 2, 3) for order in permutations(DELIVERIES, count)]


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("through_us", [True, False])
async def test_one_question_gives_one_decision(
    order: tuple[str, ...], through_us: bool, receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=through_us)
    if order[0] == "poll" and not through_us:
        track(redis, asked.request_id)  # as a list would show it

    for way in order:
        await (receiver.poll() if way == "poll" else receiver.post(getattr(asked, way)()))
    await receiver.poll()

    assert receiver.runs == {"audit": 1, "pay": 1, "rest": 0}
    [paid] = receiver.seen["pay"]
    [audited] = receiver.seen["audit"]
    assert (paid.response, paid.label, paid.state) == ("v1", "Quite another word", STATE)
    assert (
        audited.response in ("v1", "Quite another word") if "response" in audited.missing else audited.response == "v1"
    )
    if through_us:
        assert shown(paid) == shown(audited)
        assert (paid.default_response, paid.metadata, paid.question.text) == ("v2", CONTEXT, "Pay 120 EUR?")
        assert not {"state", "response", "context", "question", "loop_id"} & set(paid.missing)


@pytest.mark.slow
async def test_a_route_that_needs_a_state_waits_until_the_request_is_read(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)

    await receiver.post(asked.account_webhook())
    before = receiver.runs
    await receiver.poll()

    assert (before["pay"], receiver.runs["pay"]) == (0, 1)
    [paid] = receiver.seen["pay"]
    assert (paid.state, paid.response, paid.default_response) == (STATE, "v1", "v2")
    assert redis.zcard(keys.UNCONFIRMED) == 0


async def test_otherwise_waits_with_it_and_runs_when_no_route_is_for_it(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", state={"order": 8}, name="pay")(lambda decision: None)
    receiver.router.otherwise(name="rest")(lambda decision: receiver.seen["rest"].append(decision))
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)

    await receiver.post(asked.account_webhook())
    before = receiver.runs["rest"]
    await receiver.poll()

    assert (before, receiver.runs["rest"]) == (0, 1)
    assert receiver.seen["rest"][0].state == STATE


async def test_a_request_that_the_api_does_not_show_goes_on_with_what_there_is(
    receiver: Receiver, redis: Redis, loop: str
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", state=lambda state: state is None, name="pay")(
        lambda decision: receiver.seen["pay"].append(decision)
    )
    other = Asked("66c0ffee00000000000000ff", loop, CallbackSigner((CALLBACK_KEY,)).mint(STATE))

    await receiver.post(other.account_webhook())
    before = receiver.runs["pay"]
    await receiver.poll()

    assert (before, receiver.runs["pay"]) == (0, 1)
    assert "state" in receiver.seen["pay"][0].missing
    assert redis.zcard(keys.UNCONFIRMED) == 0


async def test_without_an_api_key_nothing_waits(
    receiver: Receiver, redis: Redis, loop: str, settings: Settings
) -> None:
    receiver.settings = Settings(redis_url=settings.redis_url, callback_secrets=(CALLBACK_KEY,))
    receiver.router = Router()
    receiver.router.on("request.completed", state=STATE, name="pay")(lambda decision: None)
    receiver.router.otherwise(name="rest")(lambda decision: receiver.seen["rest"].append(decision))
    other = Asked("66c0ffee00000000000000ff", loop, CallbackSigner((CALLBACK_KEY,)).mint(STATE))

    await receiver.post(other.account_webhook())

    assert receiver.runs["rest"] == 1


async def test_a_callback_gives_its_details_to_nothing_else(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)

    await receiver.post(asked.callback())
    fields = {name.decode() for name in redis.hkeys(keys.request(asked.request_id))}

    assert not {name for name in fields if name.startswith("details:")}
    assert "callback" not in fields


async def test_an_effect_that_has_begun_keeps_the_details_it_began_with(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    attempts: list[Decision] = []

    def fail_once(decision: Decision) -> None:
        attempts.append(decision)
        if len(attempts) == 1:
            raise RuntimeError("not yet")

    receiver.router = Router()
    receiver.router.on("request.completed", backoff=(0.01, 0.01), name="audit")(fail_once)
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)
    options = DrainOptions(lease=5.0, can_read=True)
    drain = Drain(receiver.inbox, receiver.router, LeaseKeeper(redis, lease=5.0), options)

    await receiver.inbox.accept([asked.account_webhook()])
    running = asyncio.create_task(drain.run())
    await until(lambda: len(attempts) == 1)
    redis.hset(keys.request(asked.request_id), mapping={"details:asked": b'{"text":"later"}', "details_version": 9})
    await until(lambda: len(attempts) == 2)
    drain.stop()
    await running

    assert [decision.question.text for decision in attempts] == [None, None]


async def test_the_record_of_an_event_has_the_details_of_its_effects(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=True)

    await receiver.post(asked.account_webhook())

    record = lookup.event(redis, f"request.completed:{asked.request_id}")
    assert record is not None
    assert record.stored is not None
    assert shown(Decision.from_stored(record.stored)) == shown(receiver.seen["pay"][0])


def listings_of_loops(sandbox: Sandbox) -> int:
    return sum(call["method"] == "GET" and call["path"].endswith("/loops") for call in sandbox.calls())


@pytest.mark.slow
@pytest.mark.parametrize("through_us", [True, False])
async def test_a_route_waits_for_the_name_of_the_loop_which_is_read_once_for_all_requests(
    through_us: bool, receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", loop="Desk", name="pay")(receiver.seen["pay"].append)
    receiver.router.on("request.completed", loop="Another desk", name="audit")(receiver.seen["audit"].append)
    first = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=through_us)

    await receiver.post(first.callback())
    before = receiver.runs
    await receiver.poll()
    after = receiver.runs
    second = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=True)
    await receiver.post(second.callback())

    assert [runs["pay"] for runs in (before, after, receiver.runs)] == [0, 1, 2]
    assert [decision.loop_name for decision in receiver.seen["pay"]] == ["Desk", "Desk"]
    assert (receiver.runs["audit"], listings_of_loops(sandbox)) == (0, 1)
    assert redis.zcard(keys.UNCONFIRMED) == 0


@pytest.mark.slow
async def test_a_loop_that_the_list_does_not_name_keeps_nothing_waiting_and_is_not_asked_for_again(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", loop="Desk", name="pay")(receiver.seen["pay"].append)
    receiver.router.otherwise(name="rest")(receiver.seen["rest"].append)
    sandbox.fault("error", match={"path": "*/loops", "method": "GET"}, status=403, times=None)

    for _ in range(2):
        asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=True)
        await receiver.post(asked.callback())
        await receiver.poll()

    assert (receiver.runs["pay"], receiver.runs["rest"]) == (0, 2)
    assert ["loop_name" in decision.missing for decision in receiver.seen["rest"]] == [True, True]
    assert listings_of_loops(sandbox) == 1
    assert redis.zcard(keys.UNCONFIRMED) == 0


@pytest.mark.slow
async def test_a_loop_that_was_renamed_has_its_new_name_after_a_day(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str, api: Client
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", loop="Renamed", name="pay")(receiver.seen["pay"].append)
    receiver.router.otherwise(name="rest")(receiver.seen["rest"].append)
    first, second = [await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False) for _ in range(2)]
    await receiver.post(first.callback())
    await receiver.poll()
    await asyncio.to_thread(api.loops.update, loop, name="Renamed")
    state = msgspec.json.decode(redis.hget(keys.RECONCILE_STATE, "state"))
    redis.hset(
        keys.RECONCILE_STATE, "state", msgspec.json.encode(state | {"loops_read_at": state["loops_read_at"] - 90_000})
    )

    await receiver.post(second.callback())
    await receiver.poll()

    assert (receiver.runs["rest"], receiver.runs["pay"]) == (1, 1)
    assert listings_of_loops(sandbox) == 2


# -- an answer that was not offered ---------------------------------------------------------------------------------


async def test_a_forged_answer_that_was_not_offered_reaches_no_route(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    receiver.router.on("request.completed", name="rest")(receiver.seen["rest"].append)
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=True)
    forged = asked.callback()
    body = forged.body.replace(b'"v1"', b'"v3"').replace(b"Quite another word", b"Third")

    await receiver.post(delivery(body, callback_id=forged.callback_id, state=forged.state))
    before = receiver.runs
    await receiver.poll()

    assert before == {"audit": 0, "pay": 0, "rest": 0}
    assert receiver.runs == {"audit": 1, "pay": 1, "rest": 1}
    assert {decision.response for decisions in receiver.seen.values() for decision in decisions} == {"v1"}
    assert redis.zcard(keys.UNCONFIRMED) == 0


@pytest.mark.slow
async def test_an_answer_that_was_not_offered_is_routed_once_hitl_confirms_it(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=True)
    offered = {"response_type": "single_select", "response_config": {"options": ["v2", "v3"]}}
    redis.hset(keys.request(asked.request_id), "details:asked", msgspec.json.encode(offered))

    await receiver.post(asked.callback())
    before = receiver.runs
    await receiver.poll()

    assert (before["pay"], receiver.runs["pay"]) == (0, 1)
    [paid] = receiver.seen["pay"]
    assert (paid.unexpected, paid.trust) == (True, "confirmed")
    assert redis.zcard(keys.UNCONFIRMED) == 0


# -- when nobody can read the request -------------------------------------------------------------------------------


@pytest.mark.slow
async def test_with_a_refused_key_an_effect_goes_on_after_a_day_with_what_is_known(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.router = Router()
    receiver.router.on("request.completed", state=lambda state: state is None, name="pay")(receiver.seen["pay"].append)
    receiver.router.on("request.completed", trust="confirmed", name="audit")(receiver.seen["audit"].append)
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)
    sandbox.fault("error", match={"path": "*/requests*", "method": "GET"}, status=401, times=None)
    repairer = Repairer(redis, retention=30 * 86_400)
    await receiver.post(asked.account_webhook())
    await receiver.poll()

    advance(redis, 86_000)
    early = repairer.repair()
    await receiver.work()
    before = receiver.runs
    advance(redis, 600)
    late = repairer.repair()
    await receiver.work()

    assert (early, late, before["pay"], receiver.runs["pay"]) == ([], [], 0, 1)
    assert "state" in receiver.seen["pay"][0].missing
    assert receiver.runs["audit"] == 0  # what demands confirmation waits on
    assert any(record.message.startswith("details.given_up requests=1") for record in caplog.records)


@pytest.mark.slow
async def test_once_the_key_is_accepted_again_the_next_request_is_read(
    receiver: Receiver, redis: Redis, sandbox: Sandbox, loop: str
) -> None:
    asked = await asyncio.to_thread(ask, sandbox, redis, loop, through_us=False)
    sandbox.fault("error", match={"path": "*/requests*", "method": "GET"}, status=401, times=None)
    await receiver.post(asked.account_webhook())
    await receiver.poll()
    refused = receiver.runs
    sandbox.clear_faults()
    redis.hset(keys.RECONCILE_STATE, "rests_until", "0")

    await receiver.poll()

    assert (refused["pay"], receiver.runs["pay"]) == (0, 1)
    assert receiver.seen["pay"][0].state == STATE
