"""`Hitl` and `AsyncHitl` against a server over real HTTP, through its restarts."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest
from starlette.responses import Response

from hitlsh import (
    Answered,
    AnswerUnexpected,
    AskRefused,
    AskUnknown,
    AsyncHitl,
    Cancelled,
    CannotCancel,
    Conflicted,
    Defaulted,
    Hitl,
    KeyConflict,
    Lost,
    NotAnswered,
    QuestionInvalid,
    ReceiverFailed,
    ReceiverUnreachable,
    StillOpen,
    TimedOut,
    TokenRefused,
    single_select,
    whole_number,
)
from tests.hitlsh.asking_client.receiver import TOKEN, Receiver, problem

MINUTE = timedelta(minutes=1)
BRIEFLY = timedelta(seconds=0.3)
APPROVAL = single_select("Approve", "Reject")


class Verdict(Enum):
    APPROVE = "Approve"
    REJECT = "Reject"


def soon(action: Callable[[], object], seconds: float = 0.2) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def answer_when_asked(receiver: Receiver, response: Any) -> threading.Thread:
    """Answer the one request that is going to be asked."""
    return end_when_asked(receiver, Answered(response=response, trust="callback"))


def end_when_asked(receiver: Receiver, outcome: Any) -> threading.Thread:
    def run() -> None:
        deadline = time.monotonic() + 10
        while not receiver.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        receiver.end(receiver.only.id, outcome)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# -- Asking -----------------------------------------------------------------------------------------------


def test_ask_returns_the_answer_in_its_type(receiver: Receiver, hitl: Hitl) -> None:
    person = answer_when_asked(receiver, False)

    decision = hitl.ask("Refund?", loop="Payouts", answer=bool, default=True, timeout=MINUTE)
    person.join()

    assert decision == Answered(response=False, trust="callback")


async def test_ask_awaits_the_answer(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    person = answer_when_asked(receiver, "Reject")

    decision = await async_hitl.ask(
        "Refund?", loop="Payouts", answer=Verdict, default=Verdict.APPROVE, on_timeout="raise"
    )
    person.join()

    assert decision.response is Verdict.REJECT


def test_a_question_reaches_the_receiver_as_it_was_asked(receiver: Receiver, hitl: Hitl) -> None:
    hitl.submit(
        "Refund 120 EUR?",
        loop="Payouts",
        answer=APPROVAL,
        default="Reject",
        timeout=timedelta(minutes=30),
        priority="high",
        state={"order": 42},
        context={"customer": "Ada"},
        image_url="https://example.com/receipt.png",
        key="refund-42",
        trust="signed",
        when_limited="refuse",
        escalate_to=[("On call", timedelta(minutes=10))],
    )

    question = receiver.questions[receiver.only.id]
    assert (question.text, question.loop, question.default_response) == ("Refund 120 EUR?", "Payouts", "Reject")
    assert (question.timeout_seconds, question.priority, question.state) == (1800, "high", {"order": 42})
    assert (question.context, question.image_url) == ({"customer": "Ada"}, "https://example.com/receipt.png")
    assert (question.key, question.trust, question.when_limited) == ("refund-42", "signed", "refuse")
    assert question.steps == (("Payouts", 1800), ("On call", 600))


def test_the_same_key_returns_the_same_request(receiver: Receiver, hitl: Hitl) -> None:
    first = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False, key="refund-42")
    second = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False, key="refund-42")

    assert first.id == second.id
    with pytest.raises(KeyConflict, match="text differs") as conflict:
        hitl.submit("Another?", loop="Payouts", answer=bool, default=False, key="refund-42")
    assert conflict.value.request_id == first.id


def test_a_lost_reply_does_not_ask_twice_even_without_a_key(receiver: Receiver, hitl: Hitl) -> None:
    receiver.lost_replies = 1

    hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)

    assert len(receiver.requests) == 1
    assert [method for method, _, _ in receiver.calls] == ["POST", "POST"]


def test_an_invalid_question_is_not_sent(receiver: Receiver, hitl: Hitl) -> None:
    with pytest.raises(QuestionInvalid) as invalid:
        hitl.submit("", loop="", answer=bool, default=False, timeout=timedelta(seconds=5))

    assert [each.field for each in invalid.value.problems] == ["text", "loop", "timeout_seconds"]
    with pytest.raises(QuestionInvalid, match="must be one of the options"):
        hitl.submit("Refund?", loop="Payouts", answer=APPROVAL, default="Postpone")
    assert receiver.calls == []


def test_an_argument_that_does_not_exist_is_named(hitl: Hitl) -> None:
    with pytest.raises(TypeError, match="timeout_seconds= is no argument here"):
        hitl.submit("?", loop="Payouts", answer=bool, default=False, timeout_seconds=60)
    with pytest.raises(QuestionInvalid, match="give a timedelta"):
        hitl.submit("?", loop="Payouts", answer=bool, default=False, timeout=60)


def test_what_the_receiver_finds_wrong_is_raised_by_field(receiver: Receiver, hitl: Hitl) -> None:
    receiver.scripted.append(("POST", problem(422, "Invalid", problems=[{"field": "loop", "problem": "is unknown"}])))

    with pytest.raises(QuestionInvalid, match="loop is unknown"):
        hitl.submit("Refund?", loop="Payuots", answer=bool, default=False)


# -- Waiting ----------------------------------------------------------------------------------------------


def test_an_answer_before_the_wait_is_returned(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("How many?", loop="Payouts", answer=whole_number(1, 5), default=1)
    receiver.answer(handle.id, 4)

    assert hitl.wait(handle, on_timeout="raise").response == 4


def test_an_id_is_enough_to_wait_in_another_process(receiver: Receiver, hitl: Hitl) -> None:
    request_id = hitl.submit("How many?", loop="Payouts", answer=whole_number(1, 5), default=1).id
    receiver.answer(request_id, 4)

    with Hitl(receiver.url, TOKEN) as later:
        assert later.wait(request_id) == Answered(response=4, trust="callback")
        assert later.wait(request_id, answer=whole_number(1, 5), on_timeout="raise").response == 4
        with pytest.raises(AnswerUnexpected):
            later.wait(request_id, answer=bool)


@pytest.mark.slow
def test_a_wait_survives_a_restart_of_the_receiver(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)

    def restart() -> None:
        receiver.stop()
        time.sleep(0.5)
        receiver.answer(handle.id, True)
        receiver.start()

    restarting = soon(restart)
    decision = hitl.wait(handle, timeout=timedelta(seconds=20), on_timeout="raise")
    restarting.join()

    assert decision.response is True


@pytest.mark.slow
async def test_many_waits_survive_a_restart(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    handles = [
        await async_hitl.submit(f"Refund {number}?", loop="Payouts", answer=whole_number(0, 30), default=0)
        for number in range(30)
    ]

    def restart() -> None:
        receiver.stop()
        receiver.start()
        for number, handle in enumerate(handles):
            receiver.answer(handle.id, number)

    restarting = soon(restart)
    async with asyncio.timeout(30):
        decisions = await asyncio.gather(*(async_hitl.wait(handle, on_timeout="raise") for handle in handles))
    await asyncio.to_thread(restarting.join)

    assert [decision.response for decision in decisions] == list(range(30))


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_error_is_waited_out(receiver: Receiver, hitl: Hitl, status: int) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    receiver.answer(handle.id, True)
    receiver.scripted += [("GET", Response(status_code=status)), ("GET", problem(status, "Come again"))]

    assert hitl.wait(handle, on_timeout="raise").response is True


@pytest.mark.slow
def test_retry_after_is_obeyed(receiver: Receiver, hitl: Hitl) -> None:
    receiver.scripted.append(("POST", problem(429, "Slow down", headers={"Retry-After": "1"})))
    started = time.monotonic()

    hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)

    assert 0.9 <= time.monotonic() - started < 3


@pytest.mark.slow
def test_a_wait_that_is_over_leaves_the_request_open(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    started = time.monotonic()

    with pytest.raises(StillOpen, match="wait for it again") as still_open:
        hitl.wait(handle, timeout=BRIEFLY)

    assert 0.2 <= time.monotonic() - started < 3
    assert still_open.value.request.status == "open"
    assert isinstance(still_open.value, TimeoutError)
    assert receiver.only.outcome is None


def test_a_wait_and_a_read_send_the_trust_that_they_demand(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    receiver.answer(handle.id, True)

    hitl.wait(handle, trust="confirmed", timeout=MINUTE)
    hitl.get(handle, trust="signed")

    path = f"/requests/{handle.id}"
    assert receiver.calls[-2:] == [
        ("GET", path, {"wait": "25", "trust": "confirmed"}), ("GET", path, {"trust": "signed"}),
    ]  # fmt: skip


@pytest.mark.slow
def test_ends_of_polls_at_once_do_not_make_a_busy_loop(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    receiver.is_stopping = True  # as a receiver that ends its polls and stays for a while

    with pytest.raises(StillOpen):
        hitl.wait(handle, timeout=timedelta(seconds=1))

    assert len(receiver.calls) < 8


# -- How it ended -----------------------------------------------------------------------------------------

TIMED_OUT = TimedOut(default_response="Reject", trust="signed")
OTHERS = [Cancelled(trust="signed"), Conflicted(trust="signed"), Lost(reason="HITL.sh refused it")]


def test_a_timeout_is_an_outcome_of_its_own(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=Verdict, default=Verdict.REJECT)
    receiver.end(handle.id, TIMED_OUT)

    assert hitl.wait(handle) == TIMED_OUT
    assert hitl.wait(handle, on_timeout="default") == Defaulted(response=Verdict.REJECT, timed_out=TIMED_OUT)
    with pytest.raises(NotAnswered, match="Nobody answered") as nobody:
        hitl.wait(handle, on_timeout="raise")
    assert nobody.value.outcome == TIMED_OUT


def test_a_default_that_the_outcome_does_not_tell_is_that_of_the_question(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=Verdict, default=Verdict.REJECT)
    receiver.end(handle.id, TimedOut(trust="signed"))

    defaulted = hitl.wait(handle, on_timeout="default")

    assert isinstance(defaulted, Defaulted)
    assert defaulted.response is Verdict.REJECT
    with pytest.raises(NotAnswered):
        hitl.wait(handle.id, on_timeout="default")


@pytest.mark.parametrize("outcome", OTHERS)
@pytest.mark.parametrize("on_timeout", ["raise", "default"])
def test_every_other_end_is_raised_where_an_answer_is_demanded(
    receiver: Receiver, hitl: Hitl, outcome: Any, on_timeout: Any
) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    receiver.end(handle.id, outcome)

    assert hitl.wait(handle) == outcome
    with pytest.raises(NotAnswered) as ended:
        hitl.wait(handle, on_timeout=on_timeout)
    assert ended.value.outcome == outcome


# -- Reading and cancelling -------------------------------------------------------------------------------


def test_get_reads_and_cancel_cancels(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)

    assert hitl.get(handle).status == hitl.get(handle.id).status == "open"
    assert isinstance(hitl.cancel(handle).outcome, Cancelled)
    assert isinstance(hitl.wait(handle), Cancelled)
    with pytest.raises(CannotCancel, match="It has ended"):
        hitl.cancel(handle.id)


def test_an_unknown_id_is_said_to_be_unknown(hitl: Hitl) -> None:
    for call in (hitl.get, hitl.cancel, hitl.wait):
        with pytest.raises(AskUnknown, match="ask_nothing"):
            call("ask_nothing")


def test_open_requests_are_listed(receiver: Receiver, hitl: Hitl) -> None:
    handles = [hitl.submit(f"Refund {n}?", loop="Payouts", answer=bool, default=False) for n in range(3)]
    receiver.answer(handles[0].id, True)

    assert [request.id for request in hitl.list_open()] == [handles[1].id, handles[2].id]
    assert [request.text for request in hitl.list_open(limit=1)] == ["Refund 1?"]


async def test_cancelling_the_task_leaves_the_request_alone(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    task = asyncio.create_task(async_hitl.ask("Refund?", loop="Payouts", answer=bool, default=False))
    await until(lambda: any(method == "GET" for method, _, _ in receiver.calls))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert receiver.only.outcome is None


async def test_cancelling_the_task_cancels_the_request_on_demand(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    task = asyncio.create_task(
        async_hitl.ask("Refund?", loop="Payouts", answer=bool, default=False, on_cancel="cancel")
    )
    await until(lambda: any(method == "GET" for method, _, _ in receiver.calls))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert isinstance(receiver.only.outcome, Cancelled)


@pytest.mark.slow
async def test_a_task_cancelled_while_it_asks_cancels_what_was_asked(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    receiver.scripted.append(("POST", problem(503, "Come again", headers={"Retry-After": "1"})))
    task = asyncio.create_task(
        async_hitl.ask("Refund?", loop="Payouts", answer=bool, default=False, on_cancel="cancel")
    )
    await until(lambda: bool(receiver.calls))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert isinstance(receiver.only.outcome, Cancelled)


async def test_what_cannot_be_cancelled_is_logged(
    receiver: Receiver, async_hitl: AsyncHitl, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await async_hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    task = asyncio.create_task(async_hitl.wait(handle, on_cancel="cancel"))
    await until(lambda: len(receiver.calls) == 2)
    receiver.scripted.append(("DELETE", problem(409, "It has just ended")))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert f"request.not_cancelled subject={handle.id}" in caplog.text
    assert "It has just ended" in caplog.text


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is of another thread
            await asyncio.sleep(0.01)


# -- Errors -----------------------------------------------------------------------------------------------


def test_a_refused_token_is_told_without_the_token(receiver: Receiver) -> None:
    wrong = "a-wrong-token-of-the-tests"
    with Hitl(receiver.url, wrong) as stranger, pytest.raises(TokenRefused, match="HITL_TOKENS") as refused:
        stranger.get("ask_1")

    assert wrong not in str(refused.value) + repr(stranger)


@pytest.mark.slow
def test_a_receiver_that_is_away_is_tried_for_a_while(receiver: Receiver, hitl: Hitl) -> None:
    handle = hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
    receiver.stop()
    with Hitl(receiver.url, TOKEN, retry_for=timedelta(seconds=0.5)) as impatient:
        with pytest.raises(ReceiverUnreachable, match=r"POST /requests .*give key="):
            impatient.submit("Refund?", loop="Payouts", answer=bool, default=False)
        with pytest.raises(ReceiverUnreachable, match="ask again with the same key"):
            impatient.submit("Refund?", loop="Payouts", answer=bool, default=False, key="refund-42")
        with pytest.raises(ReceiverUnreachable, match="wait for it again"):
            impatient.wait(handle, timeout=BRIEFLY)
    receiver.start()


def test_a_refusal_for_want_of_calls_is_raised_at_once(receiver: Receiver, hitl: Hitl) -> None:
    reply = problem(429, "The hour's calls are used up", headers={"Retry-After": "1800"}, kind="calls-used-up")
    receiver.scripted.append(("POST", reply))

    with pytest.raises(AskRefused, match="calls are used up") as refused:
        hitl.submit("Refund?", loop="Payouts", answer=bool, default=False, when_limited="refuse")

    assert refused.value.retry_at is not None
    assert len(receiver.calls) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Response("<h1>Not found</h1>", status_code=404), "HITL_API_KEY and HITL_TOKENS"),
        (Response(status_code=302, headers={"Location": "/login"}), "redirect"),
        (Response("{}", status_code=200), "not as documented"),
        (Response("[" * 100_000, status_code=200), "not as documented"),
        (Response(b"\xff", status_code=418), "no message"),
        (problem(400, "bad \x1b[31m request"), r"bad  \[31m request"),
    ],
)
def test_a_reply_that_is_none_of_a_receiver_is_told(
    receiver: Receiver, hitl: Hitl, reply: Response, message: str
) -> None:
    receiver.scripted.append((None, reply))

    with pytest.raises(ReceiverFailed, match=message):
        hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
