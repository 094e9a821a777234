"""Forwarding: a sink as a route of its own."""

from typing import Any

import pytest

from tests.workers.sinks.target import target
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.routing.policy import Policy
from workers.routing.router import Router
from workers.sinks import Log, RedisStream, Slack, Webhook
from workers.testing import completed, decision, timed_out


class Ledger:
    """What a user writes."""

    def __init__(self) -> None:
        self.sent: list[Decision] = []

    async def send(self, decision: Decision) -> None:
        self.sent.append(decision)


class Deaf:
    def send(self, decision: Decision) -> None:
        """Forgot the `async`."""


class Empty:
    pass


def names(router: Router, made: Decision) -> list[str]:
    return [route.name for route in router.match(made)]


async def test_the_handler_of_the_route_is_the_sink() -> None:
    router, ledger, made = Router(), Ledger(), completed()
    router.forward(ledger, on="request.completed")

    [route] = router.match(made)
    await route.handler(made)

    assert route.is_async
    assert ledger.sent == [made]


async def test_a_webhook_is_sent_to_when_its_route_runs() -> None:
    async with target() as hook:
        router = Router()
        router.forward(Webhook(hook.url), on="request.*", name="crm")

        await router["crm"].handler(completed("Approve"))

        assert hook.received[0].json()["response"] == "Approve"


def test_it_takes_the_conditions_and_the_policy_of_on() -> None:
    router = Router()
    router.forward(
        Ledger(), on="request.completed", response="Approve", loop="l1", attempts=3, timeout=5, concurrency=2, late=True
    )

    assert names(router, completed("Approve", loop_id="l1", late=True)) == ["Ledger"]
    assert names(router, completed("Reject", loop_id="l1")) == []
    assert router["Ledger"].policy == Policy(attempts=3, timeout=5, concurrency=2)


def test_a_sink_leaves_room_for_the_others_unless_told_otherwise() -> None:
    router = Router()
    router.forward(Ledger(), on="*")
    router.forward(Ledger(), on="*", name="wide", concurrency=500)

    assert (router["Ledger"].policy.concurrency, router["wide"].policy.concurrency) == (10, 500)


@pytest.mark.parametrize("on", [["request.completed", "request.timeout"], {"request.completed", "request.timeout"}])
def test_one_sink_may_listen_to_several_events(on: Any) -> None:
    router = Router()
    router.forward(Ledger(), on=on)

    assert names(router, completed()) == names(router, timed_out()) == ["Ledger"]
    assert names(router, decision(event="request.claimed", outcome=None)) == []


@pytest.mark.parametrize(
    ("sink", "name"),
    [
        (Ledger(), "Ledger"), (Webhook("https://hooks.example.com/s3cret?k=v"), "webhook-hooks.example.com"),
        (Webhook("http://localhost:5678/s3cret"), "webhook-localhost-5678"),
        (Webhook("http://[::1]:9/"), "webhook-1-9"),
        (Webhook(f"https://{'a' * 60}.{'b' * 60}.example"), f"webhook-{'a' * 60}.{'b' * 31}"),
        (Slack("https://hooks.slack.com/services/s3cret", "hello"), "slack"), (Log(), "log-hitl.decisions"),
        (RedisStream("my:decisions"), "stream-my-decisions"),
    ],
)  # fmt: skip
def test_a_route_is_named_after_its_sink_and_shows_no_secret(sink: Any, name: str) -> None:
    router = Router()
    router.forward(sink, on="*")

    assert [route.name for route in router.routes] == [name]
    assert "s3cret" not in repr(router)


def test_a_taken_name_is_refused_with_a_suggestion() -> None:
    router, ledger = Router(), Ledger()
    router.forward(ledger, on="request.completed")

    with pytest.raises(RouteInvalid, match=r"named 'Ledger' already; pass name='\.\.\.'"):
        router.forward(ledger, on="request.timeout")
    router.forward(ledger, on="request.timeout", name="ledger-timeouts")

    assert names(router, timed_out()) == ["ledger-timeouts"]


def test_a_handler_may_not_take_the_name_of_a_sink() -> None:
    router = Router()
    router.forward(Ledger(), on="*", name="ledger")

    with pytest.raises(RouteInvalid, match="both named 'ledger'"):
        router.on("*", name="ledger")(print)


@pytest.mark.parametrize(
    ("sink", "wrong"),
    [
        (Ledger, r"give an instance, Ledger\(...\)"), (Deaf(), "write `async def send"), (Empty(), "has no `send`"),
        (None, "has no `send`"), (print, "put @router.on"), ("https://hooks.example.com", "has no `send`"),
    ],
)  # fmt: skip
def test_what_is_no_sink_is_refused(sink: Any, wrong: str) -> None:
    with pytest.raises(RouteInvalid, match=wrong):
        Router().forward(sink, on="*")


@pytest.mark.parametrize(
    "options",
    [
        {"on": []}, {"on": "completed"}, {"on": None}, {"on": ["*", 3]}, {"on": "*", "respnse": "x"},
        {"on": "*", "attempts": 0}, {"on": "request.timeout", "response": "x"}, {"on": "*", "name": "a b"},
    ],
)  # fmt: skip
def test_what_on_refuses_is_refused(options: dict[str, Any]) -> None:
    router = Router()

    with pytest.raises(RouteInvalid):
        router.forward(Ledger(), **options)
    assert router.routes == ()


def test_a_misspelled_event_is_warned_about_at_its_line() -> None:
    with pytest.warns(UserWarning, match=r"is it 'request\.completed'") as warned:
        Router().forward(Ledger(), on="request.complete")

    assert warned[0].filename == __file__
