"""`approve` asks before a function runs."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hitlsh import Answered, AsyncHitl, Hitl, KeyConflict, Lost, NotApproved, StillOpen, TimedOut, approve
from tests.hitlsh.asking_client.receiver import TOKEN, Receiver
from tests.hitlsh.asking_client.test_hitl import answer_when_asked, end_when_asked


def test_an_approved_function_runs(receiver: Receiver, hitl: Hitl) -> None:
    @approve(loop="Payouts", text="Refund {amount} EUR to {customer}?", hitl=hitl)
    def refund(customer: str, amount: int = 5) -> str:
        """Refund money."""
        return f"{amount} to {customer}"

    person = answer_when_asked(receiver, True)

    assert refund("Ada", amount=120) == "120 to Ada"
    person.join()
    question = receiver.questions[receiver.only.id]
    assert question.text == "Refund 120 EUR to Ada?"
    assert question.context == {"function": "refund", "arguments": {"customer": "Ada", "amount": 120}}
    assert (question.default_response, refund.__doc__) == (False, "Refund money.")


async def test_an_approved_coroutine_function_runs(receiver: Receiver, async_hitl: AsyncHitl) -> None:
    @approve(loop="Payouts", hitl=async_hitl)
    async def refund(amount: int) -> int:
        return amount

    person = answer_when_asked(receiver, True)

    assert await refund(0) == 0
    person.join()
    assert receiver.questions[receiver.only.id].text == "Run refund?"


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Answered(response=False, trust="signed"), "a person rejected it"),
        (TimedOut(default_response=True, trust="signed"), "nobody approved it in time"),
        (Lost(reason="HITL.sh refused it"), "ended as lost"),
    ],
)
def test_a_function_that_nobody_approves_does_not_run(
    receiver: Receiver, hitl: Hitl, outcome: Any, message: str
) -> None:
    ran = []

    @approve(loop="Payouts", hitl=hitl)
    def refund() -> None:
        ran.append(True)

    person = end_when_asked(receiver, outcome)

    with pytest.raises(NotApproved, match=message) as refused:
        refund()
    person.join()
    assert refused.value.outcome == outcome
    assert ran == []


def test_the_same_call_after_a_crash_waits_for_the_same_request(receiver: Receiver, hitl: Hitl) -> None:
    @approve(loop="Payouts", key="refund-{order}", hitl=hitl)
    def refund(order: int) -> int:
        return order

    person = answer_when_asked(receiver, True)

    assert (refund(42), refund(42)) == (42, 42)
    person.join()
    assert receiver.only.key == "refund-42"


def test_only_json_and_only_what_is_shown_reaches_the_reviewer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITL_RECEIVER_URL", receiver.url)
    monkeypatch.setenv("HITL_RECEIVER_TOKEN", TOKEN)

    @approve(loop="Payouts", show=["order", "client"])
    def refund(order: dict[str, Any], client: object, password: str) -> None:
        pass

    person = answer_when_asked(receiver, True)

    refund({"lines": [1, (2, b"x")]}, object(), "a secret")
    person.join()
    assert receiver.questions[receiver.only.id].context == {
        "function": "refund",
        "arguments": {"order": {"lines": [1, [2, "bytes"]]}, "client": "object"},
    }


def test_an_approval_is_for_the_arguments_that_the_reviewer_saw(receiver: Receiver, hitl: Hitl) -> None:
    @approve(loop="Payouts", key="refund-{order}", hitl=hitl)
    def refund(order: int, amount: Decimal, on: date) -> str:
        return f"{amount} on {on}"

    person = answer_when_asked(receiver, True)

    assert refund(42, Decimal("10.50"), date(2026, 5, 1)) == "10.50 on 2026-05-01"
    person.join()
    with pytest.raises(KeyConflict):
        refund(42, Decimal("10000.50"), date(2026, 5, 1))
    [question] = receiver.questions.values()
    assert question.context is not None
    assert question.context["arguments"] == {"order": 42, "amount": "10.50", "on": "2026-05-01"}


class Payment(msgspec.Struct):
    order: int
    amount: int


@pytest.mark.parametrize(
    ("options", "first", "other"),
    [
        ({"show": ["order"]}, 10, 10_000),
        ({"context": {"about": "a refund"}}, 10, 10_000),
        ({}, Payment(order=42, amount=10), Payment(order=42, amount=10_000)),
        ({"text": "Refund {amount:.1}?", "show": ["order"]}, "10", "10000"),
    ],
)
def test_an_approval_is_not_for_other_arguments_that_the_reviewer_does_not_see(
    receiver: Receiver, hitl: Hitl, options: Any, first: Any, other: Any
) -> None:
    @approve(loop="Payouts", key="refund-{order}", hitl=hitl, wait_timeout=timedelta(0), **options)
    def refund(client: object, order: int, amount: Any) -> Any:
        return amount

    with pytest.raises(StillOpen):
        refund(object(), 42, first)
    receiver.answer(receiver.only.id, True)

    assert refund(object(), 42, first) == first
    with pytest.raises(StillOpen):
        refund(object(), 42, other)


def test_wrong_arguments_ask_nobody(receiver: Receiver, hitl: Hitl) -> None:
    @approve(loop="Payouts", hitl=hitl)
    def refund(order: int) -> int:
        return order

    with pytest.raises(TypeError, match="missing a required argument"):
        refund()
    assert receiver.calls == []


def test_a_client_of_the_other_kind_and_a_generator_are_refused(hitl: Hitl, async_hitl: AsyncHitl) -> None:
    async def coroutine() -> None: ...

    def plain() -> None: ...

    async def generator() -> AsyncIterator[int]:
        yield 1

    for client, function, message in (
        (hitl, coroutine, "give coroutine hitl=AsyncHitl"),
        (async_hitl, plain, "give plain hitl=Hitl"),
        (None, generator, "generator is a generator"),
    ):
        with pytest.raises(TypeError, match=message):
            approve(loop="Payouts", hitl=client)(function)
    with pytest.raises(TypeError, match="seconds= is no argument here"):
        approve(loop="Payouts", seconds=5)
