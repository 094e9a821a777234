"""One fault at a time: our secret is wrong, a callback URL leaks, the API is away. Decisions arrive all the same."""

import time
from collections.abc import Iterator
from itertools import count

import pytest

from hitlsh.api import boolean, single_select
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes.reconcile_stack import ReconcileStack, reconciling
from tests.workers.inbox.invariants import broken
from workers.asking import callback_url
from workers.inbox import keys

#: Nothing but what is tested here makes a reconcile run look: no discovery, and a day between two checks.
ALONE = {"HITL_DISCOVER": "0", "HITL_CHECK_WITHIN": "24h"}
#: Seconds within which what HITL.sh knows is handled, once a request is due.
SOON = 15.0
PICK = single_select("Approve", "Reject")
_seeds = count(1)


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReconcileStack]:
    folder = tmp_path_factory.mktemp("faults")
    with reconciling(folder, ALONE, handlers="reconcile_careful_handlers", workers=1, rate_limit=1_000) as running:
        yield running


@pytest.fixture
def stack(shared_stack: ReconcileStack) -> Iterator[ReconcileStack]:
    """The module's stack at rest, with an API that knows nothing of other tests."""
    shared_stack.forget(seed=next(_seeds))
    yield shared_stack
    shared_stack.sandbox.clear_faults()
    shared_stack.gate.open()
    shared_stack.wait_until_settled()


@pytest.mark.slow
def test_a_wrong_secret_of_ours_costs_seconds_and_not_the_decisions(stack: ReconcileStack) -> None:
    sign_with_another_secret(stack)
    asked = ask_several(stack, 8)

    for request in asked:
        stack.sandbox.answer(request, False)
    seconds = stack.wait(lambda: len(stack.handled_by("pay", asked[-1])) == 1, SOON, "the last is handled")
    stack.wait(lambda: len(stack.handled()) == 8, SOON, "all are handled")

    print(f"\nhandled {seconds:.1f} s after the last answer, with {stack.reads()} calls for 8 decisions")
    attempts = [attempt["status"] for one in stack.sandbox.deliveries() for attempt in one["attempts"]]
    assert attempts == [401] * 8
    seen = {(one.request, one.response, one.trust) for one in stack.handled()}
    assert seen == {(request, False, "confirmed") for request in asked}
    assert stack.reads() <= 8
    assert stack.logged("refusal.tracked")
    # A handler has run a moment before that is on record.
    stack.wait(lambda: not stack.redis.zcard(keys.UNFINISHED), SOON, "all is on record")
    assert broken(stack.redis) == []


@pytest.mark.slow
def test_a_forged_delivery_to_a_leaked_callback_url_runs_no_confirmed_handler(stack: ReconcileStack) -> None:
    request, path = ask(stack, state={"order": 17})
    forged, overruled = payload(request, "Approve"), stack.redis.zcard(keys.OVERRULED)

    assert stack.post_to(path, forged).status_code == 202
    # HITL.sh may be late itself: it is asked three times whether that can be true.
    for calls in (1, 2, 3):
        wait_for_reads(stack, calls)
        let_time_pass(stack, request)
    stack.wait(lambda: stack.redis.zcard(keys.OVERRULED) > overruled, SOON, "the delivery is overruled")
    stack.wait(lambda: stack.logged("ERROR hitl.reconcile decision.overruled"), SOON, "an alarm is logged")
    assert stack.handled() == []

    stack.sandbox.answer(request, "Reject")
    stack.wait(lambda: stack.handled(), SOON, "the true answer is handled")
    stack.wait_until_settled()

    [paid] = stack.handled()
    assert (paid.response, paid.trust, paid.source, paid.state) == ("Reject", "confirmed", "human", {"order": 17})
    record = stack.record(f"request.completed:{request}")
    assert (record.state, [effect.state for effect in record.effects]) == ("overruled", ["superseded"])
    assert broken(stack.redis) == []


@pytest.mark.slow
def test_a_callback_url_of_another_request_proves_nothing(stack: ReconcileStack) -> None:
    request, _ = ask(stack, state={"order": 17})
    another, path_of_another = ask(stack, state={"order": 18})
    overruled = stack.redis.zcard(keys.OVERRULED)

    assert stack.post_to(path_of_another, payload(request, "Approve")).status_code == 202
    stack.wait(lambda: stack.redis.zcard(keys.OVERRULED) > overruled, SOON, "the delivery is overruled")
    stack.wait(lambda: stack.logged("ERROR hitl.receiver callback.misused"), SOON, "an alarm is logged")
    stack.sandbox.answer(request, "Reject")
    stack.wait(lambda: stack.handled(), SOON, "the true answer is handled")
    stack.wait_until_settled()

    assert [(one.request, one.response, one.state) for one in stack.handled()] == [(request, "Reject", {"order": 17})]
    assert broken(stack.redis) == []
    stack.sandbox.answer(another, "Approve")
    stack.wait(lambda: stack.handled_by("pay", another), SOON, "the request of that callback URL is handled")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["errors", "no connection"])
def test_an_unavailable_api_is_called_again_after_a_pause(stack: ReconcileStack, how: str) -> None:
    # Each answer, refused here, makes a check due.
    sign_with_another_secret(stack)
    take_away(stack, how)
    before = stack.reads()
    asked = ask_several(stack, 5)
    for request in asked:
        stack.sandbox.answer(request, False)
    stack.wait(lambda: stack.logged("reconcile.stopped trouble=unreachable"), SOON, "a reconcile run gives up")
    # One more becomes due while it is left alone.
    asked += ask_several(stack, 1)
    stack.sandbox.answer(asked[-1], False)
    stack.wait(lambda: stack.redis.zscore(keys.CHECKS, asked[-1]) <= time.time() * 1000, SOON, "its check is due")
    stack.pause(6.0)
    tries, calls = len(stack.logged("reconcile.stopped")), stack.reads() - before
    stack.sandbox.clear_faults()
    if how == "no connection":
        stack.gate.open()
    seconds = stack.wait(lambda: len(stack.handled()) == 6, 20.0, "all are handled")

    print(f"\n{how}: {tries} runs and {calls} calls while it was away; found {seconds:.1f} s after it was back")
    assert (tries, calls <= 2) == (1, True)
    assert {(one.request, one.response, one.trust) for one in stack.handled()} == {
        (request, False, "confirmed") for request in asked
    }


def sign_with_another_secret(stack: ReconcileStack) -> None:
    stack.sandbox.add_webhook(f"{stack.url}{WEBHOOKS}", "the-secret-of-the-day-before", events=["request.*"])


def ask_several(stack: ReconcileStack, many: int) -> list[str]:
    loop = stack.make_loop()
    with stack.asker() as client:
        return [client.requests.create(loop, "?", boolean(), default_response=True).request_id for _ in range(many)]


def ask(stack: ReconcileStack, *, state: object) -> tuple[str, str]:
    """With a callback URL; answers the request and the path of that URL."""
    url = callback_url(stack.asking, state)
    with stack.asker() as client:
        made = client.requests.create(stack.make_loop(), "?", PICK, default_response="Reject", callback_url=url)
    return made.request_id, url.removeprefix(stack.url)


def wait_for_reads(stack: ReconcileStack, many: int) -> None:
    stack.wait(lambda: stack.reads() == many, SOON, f"reconcile runs make {many} calls in all")


def let_time_pass(stack: ReconcileStack, request: str) -> None:
    """As if HITL.sh had been asked for it some minutes ago."""
    stack.wait(lambda: not stack.redis.exists(keys.RECONCILE_LEASE), SOON, "the reconcile run is over")
    if stack.redis.zscore(keys.CHECKS, request) is not None:
        before = int((time.time() - 1) * 1000)
        stack.redis.hset(keys.request(request), "hold", before)
        stack.redis.zadd(keys.CHECKS, {request: before})


def take_away(stack: ReconcileStack, how: str) -> None:
    if how == "errors":
        stack.sandbox.fault("error", times=None, status=500, match={"method": "GET"})
    else:
        stack.gate.shut()
