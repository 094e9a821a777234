"""Unverified deliveries cause few calls to HITL.sh, after all others, and delay no lost decision."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from hitlsh.api import boolean
from service.web.app import WEBHOOKS
from tests.builders import claimed, payload
from tests.processes.reconcile_stack import ReconcileStack, reconciling

#: Calls an hour, and what strangers may cause of them.
LIMIT, CAP = 100, 10
#: Discovery finds nothing for us here; each open request is checked every ten seconds.
QUICK = {"HITL_DISCOVER": "0", "HITL_CHECK_WITHIN": "10s"}
#: Seconds within which a decision is found that no webhook told of, with an interval of ten.
SOON = 40.0


@pytest.mark.slow
def test_an_unbound_callback_url_costs_a_capped_number_of_calls(tmp_path: Path) -> None:
    with reconciling(tmp_path, QUICK, workers=1, seed=1, rate_limit=LIMIT) as stack:
        path = stack.callback_path()
        made_up = [f"{number:024x}" for number in range(0xC0FFEE, 0xC0FFEE + 150)]

        for request in made_up:
            assert stack.post_to(path, overdue_claim(request)).status_code == 200  # kept, and nobody listens
        stack.pause(5.0)
        [request] = ask(stack, 1)
        stack.sandbox.answer(request, True)
        try:
            seconds = stack.wait(lambda: stack.handled_by("note", request), 80.0, "the lost decision is handled")
        finally:
            print(f"\n{reads_of(stack, made_up)} calls for made-up ids, {left(stack)} left")
        print(f"the lost decision is found after {seconds:.1f} s")
        stack.pause(15.0)

        assert 0 < reads_of(stack, made_up) <= CAP
        assert seconds <= SOON


@pytest.mark.slow
def test_refused_posts_that_name_known_requests_never_spend_past_the_share(tmp_path: Path) -> None:
    limit, share = 350, 0.01
    quiet = QUICK | {"HITL_CHECK_WITHIN": "24h", "HITL_RECONCILE_SHARE": str(share)}
    # Nothing is decided, so there is nothing to handle.
    with reconciling(tmp_path, quiet, workers=0, seed=1, rate_limit=limit) as stack:
        asked = ask(stack, 312)
        # From new to old, and further apart than pages overlap: the page that shows one does not show the next.
        refused = asked[::-1][95::14]
        assert len(refused) == 16

        for request in refused:
            assert stack.post_to(WEBHOOKS, payload(request, True)).status_code == 401
            stack.pause(1.5)  # each has a reconcile run of its own
        stack.pause(5.0)

        print(f"\n{stack.reads()} calls for {len(refused)} refused posts, of a share of {share * limit}")
        assert 0 < stack.reads() <= share * limit


def ask(stack: ReconcileStack, many: int) -> list[str]:
    """Through us; no webhook tells of them."""
    loop = stack.make_loop()
    with stack.asker() as client:
        return [client.requests.create(loop, "?", boolean(), default_response=True).request_id for _ in range(many)]


def overdue_claim(request: str) -> bytes:
    """A claim of a request that, as it says, timed out an hour ago."""
    body = msgspec.json.decode(claimed(request))
    moment = datetime.fromtimestamp(time.time() - 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body["data"]["request"] |= {"created_at": moment, "timeout_at": moment}
    return msgspec.json.encode(body)


def reads_of(stack: ReconcileStack, requests: list[str]) -> int:
    return sum(call["path"].rsplit("/", 1)[-1] in requests for call in stack.sandbox.calls())


def left(stack: ReconcileStack) -> int:
    return LIMIT - len(stack.sandbox.calls())
