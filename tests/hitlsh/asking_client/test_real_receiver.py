"""`Hitl` and `AsyncHitl` against `hitl-receiver serve` and a sandbox: the person answers at HITL.sh."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import pytest

from hitlsh import (
    Answered,
    AskUnknown,
    AsyncHitl,
    Cancelled,
    CannotCancel,
    Hitl,
    KeyConflict,
    QuestionInvalid,
    ReceiverFailed,
    StillOpen,
    TimedOut,
    TokenRefused,
    approve,
    multi_select,
    number,
    rating,
    single_select,
    text,
    whole_number,
)
from tests.ports import free_port
from tests.service.conftest import serving, serving_here, wait_until
from tests.service.web.requests.conftest import API_KEY, READER, TOKEN, TOKENS, Asking, AskingReceiver

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Verdict(Enum):
    APPROVE = "Approve it"
    REJECT = "Reject"


class Severity(Enum):
    LOW = 1
    VERY_HIGH = 9


def answer_when_asked(asking: Asking, text: str, response: Any) -> threading.Thread:
    """A person who answers the question with this text at HITL.sh."""

    def open_request() -> Any:
        requests = asking.sandbox.state()["requests"]
        return next((one for one in requests if one["request_text"] == text and one["status"] == "pending"), None)

    def run() -> None:
        wait_until(lambda: open_request() is not None, 20.0)
        asking.sandbox.answer(open_request()["id"], response)

    person = threading.Thread(target=run)
    person.start()
    return person


@pytest.mark.parametrize(
    ("answer", "default", "response", "value"),
    [
        (bool, True, False, False),
        (Verdict, Verdict.REJECT, "Approve it", Verdict.APPROVE),
        (Severity, Severity.LOW, "VERY_HIGH", Severity.VERY_HIGH),
        (single_select("Approve", "Reject"), "Reject", "Approve", "Approve"),
        (multi_select("A", "B", min_selections=0), ["A"], ["B"], ["B"]),
        (rating(), 1, 5, 5),
        (whole_number(0, 5), 3, 0, 0),
        (number(0, 1), 0.5, 0.25, 0.25),
        (text(), "-", "as agreed", "as agreed"),
    ],
)
def test_every_type_of_answer_comes_back_as_its_type(
    web: AskingReceiver, web_hitl: Hitl, answer: Any, default: Any, response: Any, value: Any
) -> None:
    handle = web_hitl.submit("What?", loop="Payouts", answer=answer, default=default, timeout=HOUR)
    web.asking.sandbox.answer(str(handle.request.request_id), response)

    decision = web_hitl.wait(handle, timeout=MINUTE, on_timeout="raise")

    assert decision.response == value
    assert type(decision.response) is type(value)
    assert decision.reviewer is not None
    assert decision.responded_at is not None


def test_a_question_is_asked_and_awaited(web: AskingReceiver, web_hitl: Hitl) -> None:
    person = answer_when_asked(web.asking, "Refund 120 EUR?", "Approve")

    decision = web_hitl.ask(
        "Refund 120 EUR?",
        loop="Payouts",
        answer=single_select("Approve", "Reject"),
        default="Reject",
        timeout=timedelta(minutes=30),
        state={"order": 42},
        context={"customer": "Ada"},
        key="refund-42",
        priority="high",
        escalate_to=[("Payouts", timedelta(minutes=10))],
    )
    person.join()

    assert isinstance(decision, Answered)
    assert (decision.response, decision.default_response) == ("Approve", "Reject")


async def test_many_tasks_wait_at_once(web: AskingReceiver) -> None:
    async with AsyncHitl(web.url, TOKEN) as hitl:
        handles = [
            await hitl.submit(f"Question {n}", loop="Payouts", answer=whole_number(0, 20), default=0, timeout=HOUR)
            for n in range(20)
        ]
        waits = [asyncio.create_task(hitl.wait(handle, timeout=MINUTE, on_timeout="raise")) for handle in handles]
        for n, handle in enumerate(handles):
            await asyncio.to_thread(web.asking.sandbox.answer, str(handle.request.request_id), n)
        decisions = await asyncio.gather(*waits)

    assert [decision.response for decision in decisions] == list(range(20))


@pytest.mark.slow
async def test_a_wait_survives_kill_9_and_the_next_web_process(asking: Asking) -> None:
    port = free_port()
    settings = {
        "HITL_API_KEY": API_KEY,
        "HITL_BASE_URL": asking.sandbox.base_url,
        "HITL_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HITL_TOKENS": TOKENS,
    }
    log = asking.folder / f"killed-{port}.log"
    async with AsyncHitl(f"http://127.0.0.1:{port}", TOKEN) as hitl:
        with serving(asking.redis_url, log, port=port, **settings):
            handle = await hitl.submit("Killed?", loop="Payouts", answer=bool, default=False, timeout=HOUR)
            wait = asyncio.create_task(hitl.wait(handle, timeout=MINUTE, on_timeout="raise"))
            await asyncio.sleep(0.5)
            os.kill(await asyncio.to_thread(listener, port), signal.SIGKILL)
            await asyncio.sleep(0.5)
        assert not wait.done()
        with serving(asking.redis_url, log, port=port, **settings):
            await asyncio.to_thread(asking.sandbox.answer, str(handle.request.request_id), True)

            assert (await wait).response is True


def listener(port: int) -> int:
    """The process that listens on a port."""
    wanted = f":{port:04X} 00000000:0000 0A"
    inode = next(line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if wanted in line)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(fd.readlink()) == f"socket:[{inode}]" for fd in (process / "fd").iterdir()):
                return int(process.name)
    raise AssertionError(f"nothing listens on {port}")


def test_a_timeout_is_never_a_persons_no(web: AskingReceiver, web_hitl: Hitl) -> None:
    handle = web_hitl.submit("Refund?", loop="Payouts", answer=Verdict, default=Verdict.REJECT, timeout=MINUTE)
    web.asking.sandbox.advance(61)
    web.asking.sandbox.settle()

    outcome = web_hitl.wait(handle, timeout=MINUTE)
    defaulted = web_hitl.wait(handle, on_timeout="default")

    assert isinstance(outcome, TimedOut)
    assert not isinstance(defaulted, Answered)
    assert defaulted.response is Verdict.REJECT


def test_the_same_key_asks_once_and_another_question_is_a_conflict(web: AskingReceiver, web_hitl: Hitl) -> None:
    def ask(text: str) -> str:
        return web_hitl.submit(text, loop="Payouts", answer=bool, default=False, timeout=HOUR, key="once").id

    assert ask("Refund?") == ask("Refund?")
    with pytest.raises(KeyConflict) as conflict:
        ask("Refund it?")
    assert (conflict.value.fields, conflict.value.request_id) == (("text",), ask("Refund?"))
    assert web.asking.creations() == 1


def test_requests_are_read_listed_and_cancelled(web: AskingReceiver, web_hitl: Hitl) -> None:
    first = web_hitl.submit("First?", loop="Payouts", answer=bool, default=False, timeout=HOUR)
    second = web_hitl.submit("Second?", loop="Payouts", answer=bool, default=False, timeout=HOUR)

    assert [request.id for request in web_hitl.list_open()] == [first.id, second.id]
    assert web_hitl.get(str(first.request.request_id)).id == first.id
    web_hitl.cancel(first)
    assert isinstance(web_hitl.wait(first, timeout=MINUTE), Cancelled)
    assert [request.id for request in web_hitl.list_open()] == [second.id]
    assert web_hitl.cancel(first).outcome == web_hitl.get(first).outcome
    web.asking.sandbox.answer(str(second.request.request_id), True)
    web_hitl.wait(second, timeout=MINUTE)
    with pytest.raises(CannotCancel):
        web_hitl.cancel(second)
    for call in (web_hitl.get, web_hitl.cancel, web_hitl.wait):
        with pytest.raises(AskUnknown):
            call("ask_nothing")


@pytest.mark.slow
def test_a_wait_that_demands_more_trust_is_over_before_a_callback_is_believed(
    web: AskingReceiver, web_hitl: Hitl
) -> None:
    handle = web_hitl.submit("Refund?", loop="Payouts", answer=bool, default=False, timeout=HOUR)
    web.asking.sandbox.answer(str(handle.request.request_id), True)
    web.asking.sandbox.settle()

    assert isinstance(web_hitl.wait(handle, timeout=MINUTE), Answered)
    with pytest.raises(StillOpen):
        web_hitl.wait(handle, timeout=timedelta(seconds=0.5), trust="confirmed")


@pytest.mark.slow
async def test_cancelling_the_task_cancels_the_request_on_demand(web: AskingReceiver) -> None:
    async with AsyncHitl(web.url, TOKEN) as hitl:
        for on_cancel, is_cancelled in (("cancel", True), ("leave", False)):
            text = f"And then {on_cancel}?"
            asks: Callable[..., Any] = hitl.ask
            task = asyncio.create_task(
                asks(text, loop="Payouts", answer=bool, default=False, timeout=HOUR, key=text, on_cancel=on_cancel)
            )
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            again = await hitl.submit(text, loop="Payouts", answer=bool, default=False, timeout=HOUR, key=text)
            assert isinstance(again.request.outcome, Cancelled) is is_cancelled


def test_mistakes_are_told(web: AskingReceiver, web_hitl: Hitl) -> None:
    with pytest.raises((QuestionInvalid, ReceiverFailed), match="Nobodys"):
        web_hitl.submit("Refund?", loop="Nobodys", answer=bool, default=False)
    with Hitl(web.url, READER) as reader, pytest.raises(TokenRefused, match="scope ask"):
        reader.submit("Refund?", loop="Payouts", answer=bool, default=False)
    with Hitl(web.url, "a-token-of-nobody-01") as stranger, pytest.raises(TokenRefused, match="401"):
        stranger.list_open()


def test_a_receiver_without_tokens_says_what_to_set(asking: Asking, tmp_path: Path) -> None:
    with serving_here(asking.redis_url, tmp_path) as web, Hitl(f"http://127.0.0.1:{web.port}", TOKEN) as hitl:
        with pytest.raises(ReceiverFailed, match="HITL_TOKENS"):
            hitl.submit("Refund?", loop="Payouts", answer=bool, default=False)
        with pytest.raises(ReceiverFailed, match="HITL_TOKENS"):
            hitl.get("ask_1")


def test_an_approved_function_runs_once_a_person_has_approved(web: AskingReceiver, web_hitl: Hitl) -> None:
    @approve(loop="Payouts", text="Pay {amount} EUR?", timeout=HOUR, hitl=web_hitl)
    def pay(amount: int) -> int:
        return amount

    person = answer_when_asked(web.asking, "Pay 7 EUR?", True)

    assert pay(7) == 7
    person.join()


def test_the_client_reads_what_curl_reads(web: AskingReceiver, web_hitl: Hitl) -> None:
    handle = web_hitl.submit("Refund?", loop="Payouts", answer=bool, default=False, timeout=HOUR)

    reply = httpx.get(f"{web.url}/requests/{handle.id}", headers={"Authorization": f"Bearer {TOKEN}"})

    assert (reply.json()["id"], reply.json()["status"]) == (handle.id, "open")
    assert time.time() - web_hitl.get(handle).asked_at.timestamp() < 3600
