"""The life of a call, driven by hand: no network, no clock, no sleeping."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hitlsh.api import (
    BudgetExhausted,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    UnexpectedReply,
    Unreachable,
)
from hitlsh.api.calls import accounts, loops, requests, sessions
from hitlsh.api.http.exchange import Exchange, Observe, Script, Sleep, Spend, Step, Transmit
from hitlsh.api.http.replies import HttpReply
from hitlsh.api.operations import Operation

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
KEY = "hitl_live_0123456789abcdef"
CREATE = loops.create("Refunds", "lock")
LOST = Unreachable("POST", "/api/loops", "ReadTimeout", sent=True)
NEVER_LEFT = Unreachable("POST", "/api/loops", "ConnectError", sent=False)


def exchange(*, budgeted: bool = False, prefix: str = "/api", **policy: Any) -> Exchange:
    return Exchange(
        key=KEY,
        base_url="https://api.hitl.sh/v1",
        api_prefix=prefix,
        policy=RetryPolicy(**policy),
        budgeted=budgeted,
        clock=lambda: NOW,
    )


def answered(status: int = 200, body: Any = None, **headers: Any) -> HttpReply:
    content = body if isinstance(body, bytes) else json.dumps({"error": status >= 400} | (body or {})).encode()
    return HttpReply(
        status=status,
        headers={name.replace("_", "-"): str(v) for name, v in headers.items()},
        content=content,
    )


FINE = answered(200, {"data": {"api_key_id": "k"}})


def play(call: Operation[Any] | Script[Any], *told: Any, using: Exchange | None = None) -> tuple[list[Step], Any]:
    """Carry a call out, telling it these in turn for requests and spendings; gives the steps and the end."""
    flow = (using if using is not None else exchange()).flow(call)
    steps: list[Step] = []
    answers = iter(told)
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as end:
            return steps, end.value
        steps.append(step)
        reply = next(answers) if isinstance(step, Transmit | Spend) else None


def kinds(steps: list[Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


def pauses(steps: list[Step]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Sleep)]


@pytest.mark.parametrize("trouble", [answered(500), answered(502), answered(503), answered(504), LOST, NEVER_LEFT])
def test_a_read_is_repeated(trouble: Any) -> None:
    steps, found = play(accounts.test(), trouble, FINE)

    assert kinds(steps) == ["Transmit", "Sleep", "Transmit"]
    assert 0.25 <= pauses(steps)[0] <= 0.5
    assert found.api_key_id == "k"


def test_the_pauses_double_and_the_attempts_end() -> None:
    with pytest.raises(ServerError):
        play(accounts.test(), *[answered(500)] * 4)
    steps, _ = play(accounts.test(), *[answered(500)] * 3, FINE)

    first, second, third = pauses(steps)
    assert 0.25 <= first <= 0.5 <= second <= 1.0 <= third <= 2.0


def test_a_create_is_never_repeated_once_it_may_have_left() -> None:
    with pytest.raises(Unreachable, match="may have acted") as lost:
        play(CREATE, LOST)

    assert lost.value.sent


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_create_that_was_answered_is_not_repeated_either(status: int) -> None:
    with pytest.raises(ServerError):
        play(CREATE, answered(status))


def test_a_create_that_met_the_rate_limit_is_repeated() -> None:
    steps, found = play(CREATE, answered(429, Retry_After=7), answered(201, {"data": {"loop": {"id": "l"}}}))

    assert (pauses(steps), found.loop.id) == ([7.0], "l")


def test_a_create_that_cannot_have_left_is_repeated() -> None:
    made = answered(201, {"data": {"loop": {"id": "l"}}})

    steps, found = play(CREATE, NEVER_LEFT, made)

    assert kinds(steps) == ["Transmit", "Sleep", "Transmit"]
    assert found.loop.id == "l"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 301])
def test_what_would_fail_again_is_not_repeated(status: int) -> None:
    with pytest.raises(Exception, match=f"answered {status}"):
        play(accounts.test(), answered(status, {"msg": "no", "error": True}))


def test_a_rate_limit_is_waited_out_until_its_reset() -> None:
    reset = int((NOW + timedelta(seconds=20)).timestamp())

    steps, _ = play(accounts.test(), answered(429, X_RateLimit_Reset=reset, Retry_After=5), FINE)

    assert pauses(steps) == [20.0]


def test_retry_after_counts_where_there_is_no_reset() -> None:
    steps, _ = play(accounts.test(), answered(429, Retry_After=7), FINE)

    assert pauses(steps) == [7.0]


def test_without_either_a_rate_limit_is_waited_out_for_a_minute() -> None:
    steps, _ = play(accounts.test(), answered(429), FINE)

    assert pauses(steps) == [60.0]


def test_a_503_may_ask_for_patience_too() -> None:
    steps, _ = play(accounts.test(), answered(503, Retry_After=9), FINE)

    assert pauses(steps) == [9.0]


def test_a_limit_that_lasts_longer_than_our_patience_is_raised_at_once() -> None:
    reset = NOW + timedelta(minutes=20)

    with pytest.raises(RateLimited) as limited:
        play(accounts.test(), answered(429, X_RateLimit_Reset=int(reset.timestamp())))

    assert limited.value.reset_at == reset
    assert "call again after 2026-03-01T10:50:00+00:00" in str(limited.value)


def test_all_pauses_together_stay_below_the_longest_wait() -> None:
    with pytest.raises(RateLimited):
        play(accounts.test(), answered(429, Retry_After=40), answered(429, Retry_After=40))


def test_a_reset_in_the_past_still_pauses() -> None:
    steps, _ = play(accounts.test(), answered(429, X_RateLimit_Reset=1), FINE)

    assert pauses(steps)[0] >= 0.25


def test_the_limit_is_known_after_every_call_errors_too() -> None:
    using = exchange()

    with pytest.raises(NotFound):
        play(accounts.test(), answered(404, X_RateLimit_Limit=100, X_RateLimit_Remaining=41), using=using)

    assert using.rate_limit is not None
    assert (using.rate_limit.limit, using.rate_limit.remaining) == (100, 41)


def test_every_try_is_taken_from_the_budget_and_the_budget_is_told() -> None:
    limited = answered(500, X_RateLimit_Remaining=9)

    steps, _ = play(accounts.test(), 0.0, limited, 0.0, FINE, using=exchange(budgeted=True))

    assert kinds(steps) == ["Spend", "Transmit", "Observe", "Sleep", "Spend", "Transmit"]
    assert isinstance(steps[2], Observe)


def test_a_budget_that_asks_to_wait_is_asked_again_afterwards() -> None:
    steps, _ = play(accounts.test(), 30.0, 0.0, FINE, using=exchange(budgeted=True))

    assert kinds(steps) == ["Spend", "Sleep", "Spend", "Transmit"]


def test_a_budget_that_asks_for_too_long_a_wait_refuses() -> None:
    with pytest.raises(BudgetExhausted, match="no call for another 61 s"):
        play(accounts.test(), 61.0, using=exchange(budgeted=True))


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("/api", "https://api.hitl.sh/v1/api/loops"),
        ("", "https://api.hitl.sh/v1/loops"),
        ("/x/y", "https://api.hitl.sh/v1/x/y/loops"),
    ],
)
def test_the_prefix_stands_between_base_and_resource(prefix: str, url: str) -> None:
    steps, _ = play(loops.list_all(), answered(200, {"data": {}}), using=exchange(prefix=prefix))

    assert isinstance(steps[0], Transmit)
    assert steps[0].request.url == url


def test_an_id_cannot_leave_its_segment() -> None:
    steps, _ = play(requests.get("../loops?x"), answered(200, {"data": {"id": "r"}}))

    assert isinstance(steps[0], Transmit)
    assert steps[0].request.url == "https://api.hitl.sh/v1/api/requests/..%2Floops%3Fx"


def test_a_408_of_a_waiting_turn_is_no_error() -> None:
    pending = answered(408, {"error": False, "data": {"turn": {"id": "t"}, "pending": True}})

    _, turn = play(sessions.wait_for_turn("s", "t"), pending)

    assert turn.pending


def test_any_other_408_is_an_error() -> None:
    with pytest.raises(Exception, match="answered 408"):
        play(accounts.test(), answered(408, {"error": False}))


@pytest.mark.parametrize("body", [b"<html>fine</html>", b"", b"[]", b"\xff", b'"text"'])
def test_a_success_that_is_no_object_is_an_error_that_shows_the_body(body: bytes) -> None:
    with pytest.raises(UnexpectedReply, match="may have succeeded"):
        play(accounts.test(), answered(200, body))


def test_a_reply_without_its_id_says_what_is_missing() -> None:
    with pytest.raises(UnexpectedReply, match=r"Loop\.id is missing"):
        play(loops.get("l"), answered(200, {"data": {"loop": {}}}))


def test_a_delete_may_answer_with_nothing() -> None:
    _, gone = play(loops.delete("l"), answered(204, b""))

    assert gone.loop_id == "l"


def test_an_error_envelope_is_an_error_whatever_the_status() -> None:
    with pytest.raises(Exception, match="answered 200: odd"):
        play(accounts.test(), answered(200, {"error": True, "msg": "odd"}))


def test_a_script_waits_as_the_documents_advise() -> None:
    pending, done = (
        answered(200, {"data": {"request": {"id": "r", "status": word}}}) for word in ("pending", "completed")
    )

    steps, request = play(requests.wait("r"), *[pending] * 8, done)

    assert pauses(steps) == [5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 300.0, 300.0]
    assert request.outcome == "completed"


def test_a_script_that_runs_out_of_time_gives_the_request_as_it_is() -> None:
    pending = answered(200, {"data": {"request": {"id": "r", "status": "pending"}}})

    steps, request = play(requests.wait("r", every=20, for_up_to=30), *[pending] * 3)

    assert pauses(steps) == [20.0, 10.0]
    assert request.outcome is None
