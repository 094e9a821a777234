"""Outcomes of asked requests: from the inbox's records, with the demanded trust, and published to waiters."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.api.questions.new_question import Escalation, NewQuestion
from hitlsh.asking.ask_errors import AskRefused, AskUnknown, CannotCancel
from hitlsh.asking.ask_outcomes import Answered, Cancelled, Conflicted, Lost, TimedOut
from hitlsh.asking.asked_request import AskedRequest
from tests.workers.asking.asked import KEY, Died, created, deliver, die_at, let_time_pass, reconcile, wrong_links
from workers import Router
from workers.asking import AskingService
from workers.inbox import keys
from workers.inbox.budget.redis_budget import RedisBudget
from workers.inbox.operations.replaying import replay
from workers.inbox.queries.search import Filter
from workers.inbox.questions.question_store import QuestionUnreadable
from workers.inbox.tracker.api_keys import api_key_hash
from workers.settings import Settings

Build = Callable[..., NewQuestion]


async def ask(service: AskingService, question: NewQuestion) -> tuple[AskedRequest, str]:
    request = (await service.submit(question)).request
    assert request.request_id is not None
    return request, request.request_id


async def current(service: AskingService, request: AskedRequest, **options: Any) -> AskedRequest:
    shown = await service.get(request.id, **options)
    assert shown is not None
    return shown


async def test_an_answer_is_shown_with_who_gave_it_and_when(
    service: AskingService, async_redis: AsyncRedis, question: Build
) -> None:
    request, request_id = await ask(service, question())

    await deliver(async_redis, request_id)
    shown = await current(service, request)

    assert isinstance(shown.outcome, Answered)
    assert (shown.outcome.response, shown.outcome.label, shown.outcome.trust) == ("Approve", "Approve", "callback")
    assert shown.outcome.reviewer is not None
    assert (shown.outcome.reviewer.name, shown.outcome.default_response) == ("Kim", "Reject")
    assert shown.outcome.responded_at is not None
    assert (shown.status, shown.version > request.version) == ("ended", True)
    assert await service.get(request_id) == shown
    assert await service.list_open() == []


@pytest.mark.parametrize("response", [False, True])
async def test_a_falsy_answer_is_an_answer(
    service: AskingService, async_redis: AsyncRedis, question: Build, response: bool
) -> None:
    request, request_id = await ask(
        service, question(response_type="boolean", response_config={}, default_response=False)
    )

    await deliver(async_redis, request_id, response=response)

    outcome = (await current(service, request)).outcome
    assert isinstance(outcome, Answered)
    assert outcome.response is response


async def test_a_timeout_has_the_default_and_no_answer(
    service: AskingService, async_redis: AsyncRedis, question: Build
) -> None:
    request, request_id = await ask(service, question())

    await deliver(async_redis, request_id, "timeout")

    outcome = (await current(service, request)).outcome
    assert isinstance(outcome, TimedOut)
    assert outcome.default_response == "Reject"
    assert outcome.responded_at is not None
    assert outcome.responded_at.timestamp() <= time.time()


async def test_an_answer_that_arrived_before_the_binding_is_shown(
    service: AskingService, async_redis: AsyncRedis, question: Build, sandbox: Sandbox, redis: Redis
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    request = (await service.submit(question())).request
    [lost] = created(sandbox)
    await deliver(async_redis, lost["id"])

    let_time_pass(redis)
    await service.run_due()
    shown = await current(service, request)

    assert isinstance(shown.outcome, Answered)
    assert await service.list_open() == []


async def test_waiters_receive_each_change(service: AskingService, async_redis: AsyncRedis, question: Build) -> None:
    request, request_id = await ask(service, question())
    changes = await service.subscribe()

    await deliver(async_redis, request_id)
    change = await changes.next_change(seconds=5)
    await deliver(async_redis, request_id)
    repeated = await changes.next_change(seconds=0.2)
    await changes.close()

    assert change is not None
    assert (change.id, change.version) == (request.id, request.version + 1)
    assert repeated is None


async def test_a_wait_learns_that_messages_may_be_lost(service: AskingService, question: Build, redis: Redis) -> None:
    changes = await service.subscribe()
    assert await changes.next_change(seconds=0.1) is None

    redis.client_kill_filter(_type="pubsub")  # the client subscribes again by itself

    with pytest.raises(RedisConnectionError):
        await changes.next_change(seconds=10)
    await changes.close()


async def test_an_ended_question_is_kept_for_the_retention(
    service: AskingService, async_redis: AsyncRedis, question: Build, redis: Redis, settings: Settings
) -> None:
    request, request_id = await ask(service, question())
    before = redis.ttl(keys.question(request.id))

    await deliver(async_redis, request_id)

    assert before == -1
    assert 0 < redis.ttl(keys.question(request.id)) <= settings.retention


async def test_the_outcome_of_a_question_is_kept_as_long_as_the_question(
    service: AskingService, async_redis: AsyncRedis, question: Build, redis: Redis, settings: Settings, sandbox: Sandbox
) -> None:
    request, request_id = await ask(service, question(trust="confirmed"))
    sandbox.answer(request_id, "Approve")
    await deliver(async_redis, request_id)
    event = (redis.hget(keys.request(request_id), "event") or b"").decode()
    records = (keys.request(request_id), keys.event(event))
    for record in records:
        redis.expire(record, 100)  # its handlers have finished, nearly the retention ago

    await reconcile(settings, redis)

    assert (await current(service, request)).status == "ended"
    assert all(redis.ttl(record) >= redis.ttl(keys.question(request.id)) > 100 for record in records)


# -- trust ---------------------------------------------------------------------------------------------


async def test_a_forged_answer_is_not_shown_to_a_reader_who_demands_more_trust(
    service: AskingService, async_redis: AsyncRedis, question: Build, settings: Settings, redis: Redis
) -> None:
    request, request_id = await ask(service, question(trust="confirmed"))

    await deliver(async_redis, request_id, response="Approve")  # HITL.sh has no answer
    forged = await current(service, request)
    for _ in range(4):
        redis.hdel(keys.request(request_id), "hold")
        redis.zadd(keys.CHECKS, {request_id: 0})
        await reconcile(settings, redis)
    denied = await current(service, request)

    assert (forged.status, forged.outcome) == ("open", None)
    assert (denied.status, denied.outcome, denied.late_answers) == ("open", None, ())
    assert [one.id for one in await service.list_open()] == [request.id]


@pytest.mark.parametrize("demanded", ["signed", "confirmed"])
async def test_a_true_answer_is_shown_once_confirmed(
    service: AskingService, async_redis: AsyncRedis, question: Build, settings: Settings, redis: Redis,
    sandbox: Sandbox, demanded: Any,
) -> None:  # fmt: skip
    request, request_id = await ask(service, question(trust=demanded))
    sandbox.answer(request_id, "Reject")
    await deliver(async_redis, request_id, response="Approve")  # by a leaked URL

    withheld = await current(service, request)
    redis.zadd(keys.CHECKS, {request_id: 0}, xx=True)
    await reconcile(settings, redis)
    shown = await current(service, request)

    assert withheld.outcome is None
    assert isinstance(shown.outcome, Answered)
    assert (shown.outcome.response, shown.outcome.trust) == ("Reject", "confirmed")


async def test_a_wait_may_demand_more_than_the_question(
    service: AskingService, async_redis: AsyncRedis, question: Build, settings: Settings, redis: Redis, sandbox: Sandbox
) -> None:
    request, request_id = await ask(service, question())
    sandbox.answer(request_id, "Reject")
    await deliver(async_redis, request_id, response="Approve")

    first = await current(service, request, trust="confirmed")
    assert redis.zscore(keys.CHECKS, request_id) is not None
    await reconcile(settings, redis)
    second = await current(service, request, trust="confirmed")

    assert (await current(service, request)).outcome == second.outcome
    assert (first.status, first.outcome) == ("open", None)
    assert isinstance(second.outcome, Answered)
    assert second.outcome.response == "Reject"


async def test_a_forged_answer_that_was_not_offered_is_not_given_before_hitl_sh_confirms_it(
    service: AskingService, async_redis: AsyncRedis, question: Build, settings: Settings, redis: Redis, sandbox: Sandbox
) -> None:
    request, request_id = await ask(service, question())
    sandbox.answer(request_id, "Reject")

    await deliver(async_redis, request_id, response="Approve twice")
    many = (await service.get_many([request.id]))[request.id]
    assert isinstance(many, AskedRequest)
    forged = await current(service, request)
    await reconcile(settings, redis)
    shown = await current(service, request)

    assert (many.status, forged.status, forged.outcome) == ("open", "open", None)
    assert isinstance(shown.outcome, Answered)
    assert (shown.outcome.response, shown.outcome.trust) == ("Reject", "confirmed")


async def test_an_answer_that_was_not_offered_and_is_confirmed_is_given(
    service: AskingService, async_redis: AsyncRedis, question: Build
) -> None:
    request, request_id = await ask(service, question())

    await deliver(async_redis, request_id, response="Approve twice")
    await deliver(async_redis, request_id, response="Approve twice", trust="confirmed")

    outcome = (await current(service, request)).outcome
    assert isinstance(outcome, Answered)
    assert (outcome.response, outcome.trust) == ("Approve twice", "confirmed")


async def test_conflicting_evidence_is_a_conflict_until_hitl_sh_is_asked(
    service: AskingService, async_redis: AsyncRedis, question: Build, settings: Settings, redis: Redis, sandbox: Sandbox
) -> None:
    request, request_id = await ask(service, question())
    sandbox.answer(request_id, "Reject")
    await deliver(async_redis, request_id, response="Approve")
    await deliver(async_redis, request_id, response="Reject")

    conflicted = await current(service, request)
    await reconcile(settings, redis)
    decided = await current(service, request)

    assert isinstance(conflicted.outcome, Conflicted)
    assert [getattr(one, "response", None) for one in conflicted.outcome.outcomes] == ["Approve", "Reject"]
    assert isinstance(decided.outcome, Answered)
    assert (decided.outcome.response, decided.outcome.trust) == ("Reject", "confirmed")
    assert [getattr(one, "response", None) for one in decided.late_answers] == ["Approve"]


async def test_a_request_that_hitl_sh_does_not_know_is_lost(
    service: AskingService, question: Build, settings: Settings, redis: Redis, loops: dict[str, str]
) -> None:
    request, request_id = await ask(service, question())
    with Client(KEY, base_url=settings.base_url) as client:
        client.loops.delete(loops["Payouts"])

    for _ in range(2):
        redis.zadd(keys.CHECKS, {request_id: 0})
        redis.hset(keys.request(request_id), "refused", f"{time.time():.6f}")  # it is checked at once
        redis.hdel(keys.request(request_id), "hold")
        await reconcile(settings, redis)
        redis.hset(keys.request(request_id), "missing", 1)  # an hour has passed

    shown = await current(service, request)
    assert isinstance(shown.outcome, Lost)
    assert await service.list_open() == []


# -- escalation ----------------------------------------------------------------------------------------


ESCALATIONS = (
    Escalation(loop="On call", timeout_seconds=600),
    Escalation(loop="Directors", timeout_seconds=900),
)


@pytest.fixture
def escalating(question: Build) -> NewQuestion:
    return question(escalate_to=ESCALATIONS)


async def test_the_next_loop_is_asked_when_the_first_times_out(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, loops: dict[str, str]
) -> None:
    request, first = await ask(service, escalating)

    await deliver(async_redis, first, "timeout", trust="signed")
    between = await current(service, request)
    await service.run_due()
    shown = await current(service, request)

    assert between.outcome is None
    assert (shown.status, shown.outcome) == ("open", None)
    assert [step.outcome for step in shown.steps] == ["timed_out", None, None]
    assert [one["loop_id"] for one in created(sandbox)] == [loops["Payouts"], loops["On call"]]

    await deliver(async_redis, str(shown.request_id), response="Approve", trust="signed")
    decided = await current(service, request)
    assert isinstance(decided.outcome, Answered)


async def test_only_the_timeout_of_the_last_loop_is_the_outcome(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox
) -> None:
    request, _ = await ask(service, escalating)

    outcomes = []
    for _ in range(3):
        shown = await current(service, request)
        await deliver(async_redis, str(shown.request_id), "timeout", trust="signed")
        await service.run_due()
        outcomes.append((await current(service, request)).outcome)

    assert outcomes[:2] == [None, None]
    assert isinstance(outcomes[2], TimedOut)
    assert len(created(sandbox)) == 3


async def test_the_timeout_of_an_escalated_step_runs_no_handler(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, redis: Redis
) -> None:
    _, first = await ask(service, escalating)

    await deliver(async_redis, first, "timeout", trust="signed")

    event = redis.hget(keys.request(first), "event")
    assert event is not None
    assert redis.hget(keys.event(event.decode()), "state") == b"unrouted"
    assert redis.zcard(keys.DUE) == 0
    assert redis.hget(keys.request(first), "turn") is None


@pytest.mark.parametrize("chosen", [Filter(state="unrouted"), Filter(), "event"])
async def test_a_replay_does_not_give_the_timeout_of_an_escalated_step_to_handlers(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, redis: Redis, chosen: Any
) -> None:
    _, first = await ask(service, escalating)
    await deliver(async_redis, first, "timeout", trust="signed")
    event = (redis.hget(keys.request(first), "event") or b"").decode()
    router = Router()
    router.on("request.*", name="settle")(lambda decision: None)

    change = replay(redis, router, [event] if chosen == "event" else chosen, retention=86_400, force=True)

    assert (change.effects, redis.zcard(keys.UNROUTED), redis.zcard(keys.DUE)) == (0, 0, 0)


async def test_a_late_answer_to_an_escalated_step_is_flagged(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, redis: Redis
) -> None:
    request, first = await ask(service, escalating)
    await deliver(async_redis, first, "timeout", trust="signed")
    await service.run_due()

    await deliver(async_redis, first, response="Approve", trust="confirmed")
    shown = await current(service, request)

    assert (shown.status, shown.outcome) == ("open", None)
    assert [getattr(one, "response", None) for one in shown.late_answers] == ["Approve"]
    event = redis.hget(keys.request(first), "event")
    assert event is not None
    assert redis.hget(keys.event(event.decode()), "late") == b"1"


async def test_a_forged_timeout_does_not_escalate_a_question(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, redis: Redis,
    settings: Settings,
) -> None:  # fmt: skip
    request, first = await ask(service, escalating)

    await deliver(async_redis, first, "timeout")  # ten minutes early
    await service.run_due()
    assert redis.zscore(keys.CHECKS, first) is not None
    sandbox.answer(first, "Reject")
    redis.zadd(keys.CHECKS, {first: 0}, xx=True)
    await reconcile(settings, redis)
    shown = await current(service, request)

    assert len(created(sandbox)) == 1
    assert isinstance(shown.outcome, Answered)
    assert shown.outcome.response == "Reject"


@pytest.mark.slow
async def test_a_process_that_dies_during_an_escalation_asks_the_next_loop_once(
    settings: Settings, async_redis: AsyncRedis, redis: Redis, escalating: NewQuestion, sandbox: Sandbox
) -> None:
    for boundary in range(1, 17):
        redis.flushall()
        sandbox.clear_faults()
        before = len(created(sandbox))
        async with AskingService(settings, async_redis) as service, AskingService(settings, async_redis) as dying:
            request, first = await ask(service, escalating)
            await deliver(async_redis, first, "timeout", trust="signed")
            die_at(dying, boundary)
            with suppress(Died):
                await dying.run_due()
            assert wrong_links(redis) == []
            for _ in range(3):
                let_time_pass(redis)
                await service.run_due()
            shown = await current(service, request)
        assert (shown.status, len(created(sandbox)) - before) == ("open", 2)
        assert shown.steps[1].request_id == shown.request_id


async def test_an_answer_that_overrules_the_timeout_during_an_escalation_ends_the_question(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, redis: Redis
) -> None:
    request, first = await ask(service, escalating)
    await deliver(async_redis, first, "timeout", trust="signed")
    read_evidence = service._reader.evidence

    async def read_before_the_answer(records: Any) -> Any:
        evidence = await read_evidence(records)
        await deliver(async_redis, first, response="Approve", trust="confirmed")
        return evidence

    vars(service._reader)["evidence"] = read_before_the_answer
    await service.run_due()
    shown = await current(service, request)

    assert isinstance(shown.outcome, Answered)
    assert (shown.late_answers, wrong_links(redis)) == ((), [])
    assert len(created(sandbox)) == 1


# -- without calls -------------------------------------------------------------------------------------


@pytest.fixture
def no_calls(redis: Redis) -> Callable[[], None]:
    def use_up() -> None:
        budget = RedisBudget(redis, KEY)
        while budget.spend() == 0.0:
            pass

    return use_up


async def test_questions_wait_for_calls_and_are_asked_by_priority(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis, no_calls: Callable[[], None]
) -> None:
    no_calls()
    waiting = [
        (await service.submit(question(key=None, text=f"{priority}?", priority=priority))).request
        for priority in ("low", "medium", "critical")
    ]
    queued = await service.count_queued()
    let_time_pass(redis)
    await service.run_due()
    assert created(sandbox) == []

    redis.delete(keys.budget(api_key_hash(KEY)))
    let_time_pass(redis)
    await service.run_due()

    assert [one.status for one in waiting] == ["queued"] * 3
    assert all(one.retry_at is not None for one in waiting)
    assert queued == 3
    assert [one["request_text"] for one in created(sandbox)] == ["critical?", "medium?", "low?"]
    assert await service.count_queued() == 0


async def test_a_queue_is_bounded(
    settings: Settings, async_redis: AsyncRedis, question: Build, no_calls: Callable[[], None]
) -> None:
    no_calls()
    async with AskingService(settings, async_redis, queue_limit=2) as service:
        for _ in range(2):
            await service.submit(question(key=None))
        with pytest.raises(AskRefused, match="too many questions"):
            await service.submit(question(key=None))
        assert len(await service.list_open()) == 2


async def test_a_refusal_says_when_calls_return(
    service: AskingService, question: Build, no_calls: Callable[[], None]
) -> None:
    no_calls()
    with pytest.raises(AskRefused) as refused:
        await service.submit(question(when_limited="refuse"))

    assert refused.value.retry_at is not None
    assert await service.list_open() == []


async def test_a_question_that_cannot_be_read_keeps_no_other_from_being_asked_or_read(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis, no_calls: Callable[[], None]
) -> None:
    no_calls()
    first, second = [(await service.submit(question(key=None, text=text))).request.id for text in ("1?", "2?")]
    redis.hset(keys.question(first), "record", '{"of": "another version"}')
    redis.delete(keys.budget(api_key_hash(KEY)))
    let_time_pass(redis)

    await service.run_due()
    shown = await service.get_many([first, second])
    listed = await service.list_open()

    assert [one["request_text"] for one in created(sandbox)] == ["2?"]
    assert isinstance(shown[first], QuestionUnreadable)
    assert [one.id for one in listed] == [second]


# -- cancelling ----------------------------------------------------------------------------------------


async def test_an_open_request_is_cancelled_at_hitl_sh(
    service: AskingService, question: Build, sandbox: Sandbox, async_redis: AsyncRedis
) -> None:
    request, request_id = await ask(service, question())

    cancelled = await service.cancel(request.id)
    await deliver(async_redis, request_id, "cancelled")

    assert isinstance(cancelled.outcome, Cancelled)
    assert created(sandbox)[0]["status"] == "cancelled"
    assert isinstance((await current(service, request)).outcome, Cancelled)


async def test_a_question_that_waits_for_calls_is_cancelled_here(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis, no_calls: Callable[[], None]
) -> None:
    no_calls()
    request = (await service.submit(question())).request

    cancelled = await service.cancel(request.id)
    redis.delete(keys.budget(api_key_hash(KEY)))
    let_time_pass(redis)
    await service.run_due()

    assert isinstance(cancelled.outcome, Cancelled)
    assert created(sandbox) == []


async def test_a_request_that_may_exist_is_cancelled_once_that_is_known(
    service: AskingService, question: Build, sandbox: Sandbox, redis: Redis
) -> None:
    sandbox.fault("error", status=502, stage="after", match={"method": "POST"})
    request = (await service.submit(question())).request

    await service.cancel(request.id)
    let_time_pass(redis)
    await service.run_due()
    let_time_pass(redis)
    await service.run_due()

    assert isinstance((await current(service, request)).outcome, Cancelled)
    assert created(sandbox)[0]["status"] == "cancelled"


async def test_a_question_that_is_about_to_escalate_is_cancelled(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, redis: Redis
) -> None:
    request, first = await ask(service, escalating)
    sandbox.advance(601)
    await deliver(async_redis, first, "timeout", trust="signed")

    cancelled = await service.cancel(request.id)
    let_time_pass(redis)
    await service.run_due()

    assert isinstance(cancelled.outcome, Cancelled)
    assert isinstance((await current(service, request)).outcome, Cancelled)
    assert len(created(sandbox)) == 1


async def test_a_forged_answer_does_not_keep_a_question_from_being_cancelled(
    service: AskingService, async_redis: AsyncRedis, question: Build, sandbox: Sandbox
) -> None:
    request, request_id = await ask(service, question(trust="confirmed"))
    await deliver(async_redis, request_id)

    await service.cancel(request.id)
    await deliver(async_redis, request_id, "cancelled", trust="confirmed")

    assert created(sandbox)[0]["status"] == "cancelled"
    assert isinstance((await current(service, request)).outcome, Cancelled)


async def test_a_forged_timeout_does_not_let_a_cancellation_replace_the_answer(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox
) -> None:
    request, first = await ask(service, escalating)
    sandbox.answer(first, "Approve")
    await deliver(async_redis, first, "timeout")

    with pytest.raises(CannotCancel):
        await service.cancel(request.id)
    await deliver(async_redis, first, response="Approve", trust="signed")

    assert isinstance((await current(service, request)).outcome, Answered)


async def test_evidence_about_an_ended_question_does_not_keep_it_due(
    service: AskingService, async_redis: AsyncRedis, escalating: NewQuestion, sandbox: Sandbox, redis: Redis
) -> None:
    request, first = await ask(service, escalating)
    sandbox.advance(601)
    await deliver(async_redis, first, "timeout", trust="signed")
    await service.cancel(request.id)

    await deliver(async_redis, first, "timeout", trust="confirmed")
    await service.run_due()

    assert redis.zcard(keys.QUESTIONS_DUE) == 0


async def test_an_ended_request_is_not_cancelled(
    service: AskingService, question: Build, async_redis: AsyncRedis
) -> None:
    request, request_id = await ask(service, question())
    await deliver(async_redis, request_id)

    with pytest.raises(CannotCancel, match="has ended"):
        await service.cancel(request.id)
    with pytest.raises(AskUnknown):
        await service.cancel("ask_nothing")


async def test_open_requests_are_listed_in_pages(service: AskingService, question: Build) -> None:
    asked = [(await service.submit(question(key=f"k{number}"))).request.id for number in range(5)]

    first = await service.list_open(limit=3)
    second = await service.list_open(limit=3, after=first[-1].id)

    assert [one.id for one in (*first, *second)] == asked


async def test_cancelled_requests_do_not_hide_those_that_are_open(service: AskingService, question: Build) -> None:
    asked = [(await service.submit(question(key=f"k{number}"))).request.id for number in range(6)]
    for request_id in asked[:3]:
        await service.cancel(request_id)

    assert [one.id for one in await service.list_open(limit=2)] == asked[3:5]


async def test_a_request_that_ends_between_two_pages_repeats_and_skips_none(
    service: AskingService, async_redis: AsyncRedis, question: Build
) -> None:
    asked = [(await service.submit(question(key=f"k{number}"))).request for number in range(4)]

    first = await service.list_open(limit=2)
    await deliver(async_redis, str(first[-1].request_id))
    second = await service.list_open(limit=2, after=first[-1].id)

    assert [one.id for one in (*first, *second)] == [one.id for one in asked]
