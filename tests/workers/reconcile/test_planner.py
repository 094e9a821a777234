"""The cheapest plan for each situation, and why."""

from typing import Any

from tests.reconcile_model import after_decision
from tests.workers.reconcile.list_server import ListServer
from workers.inbox.values import OpenRequest, WebhookHealth
from workers.reconcile.planning.check_interval import GRACE, CheckIntervals, guaranteed_interval, intervals
from workers.reconcile.planning.plan_execution import PlanExecution
from workers.reconcile.planning.planner import Plan, Situation, plan
from workers.reconcile.planning.progress import Checkpoint

NOW = 1_000_000.0
LOSING = WebhookHealth(loss=1.0, ended_per_hour=80)


def request(number: int = 0, **changes: Any) -> OpenRequest:
    defaults: dict[str, Any] = {"id": f"r{number}", "created_at": NOW - 3600 - number, "newer": number}
    return OpenRequest(**(defaults | changes))


def made(*requests: OpenRequest, **changes: Any) -> Plan:
    defaults: dict[str, Any] = {
        "now": NOW,
        "requests": requests,
        "webhook_health": LOSING,
        "intervals": CheckIntervals(shortest=600),
        "calls": 50,
        "borrowed": 60,
    }
    return plan(Situation(**(defaults | changes)))


def test_nothing_is_open() -> None:
    assert made() == Plan(kind="nothing", reason="nothing is open")


def test_a_request_just_asked_is_not_worth_a_call() -> None:
    chosen = made(request(created_at=NOW - 60))

    assert (chosen.kind, chosen.reason) == ("nothing", "none of 1 open requests is worth a call for another 540 s")


def test_neighbours_come_with_one_page() -> None:
    chosen = made(*(request(number) for number in range(90)))

    assert (chosen.kind, chosen.cost) == ("page", 1)
    assert (
        chosen.reason
        == "90 due (0 past due or refused) of 90 open: 1 newest-first page, instead of 2 through the open list"
    )


def test_a_request_past_its_timeout_is_asked_for() -> None:
    chosen = made(request(5, timeout_at=NOW - GRACE, last_checked=NOW - 600))

    assert (chosen.kind, chosen.cost) == ("single", 1)


def test_a_webhook_gets_its_time_after_the_timeout() -> None:
    assert made(request(timeout_at=NOW - GRACE + 1, last_checked=NOW - 60)).kind == "nothing"


def test_a_refused_delivery_makes_its_request_due_now() -> None:
    assert made(request(refused=True, last_checked=NOW - 1)).kind == "single"


def test_requests_far_apart_are_looked_for_through_the_open_list() -> None:
    chosen = made(
        *(request(number, newer=number * 100) for number in range(300)),
        intervals=CheckIntervals(shortest=600),
        webhook_health=WebhookHealth(),
    )

    assert (chosen.kind, chosen.cost) == ("open", 4)


def test_one_old_request_waits_for_a_batch() -> None:
    old = request(0, created_at=NOW - 100_000, last_checked=NOW - 12_000, newer=5000)

    chosen = made(old, webhook_health=WebhookHealth(loss=0.1, ended_per_hour=80))

    assert chosen.kind == "nothing"
    assert "wait until more is due" in chosen.reason


def test_a_plan_of_nothing_says_when_to_plan_again() -> None:
    young = made(request(created_at=NOW - 60))
    lonely = made(request(created_at=NOW - 100_000, last_checked=NOW - 12_000), webhook_health=WebhookHealth(loss=0.1))

    assert (young.retry_at, lonely.retry_at) == (NOW + 540, NOW + 150)
    assert made(request(), calls=0, borrowed=0).retry_at is None


def test_without_calls_only_what_is_overdue_borrows() -> None:
    routine, overdue = request(1), request(2, timeout_at=NOW - 600)

    chosen = made(routine, overdue, calls=0, borrowed=5)

    assert ([one.id for one in chosen.targets], chosen.calls) == (["r2"], 5)
    assert "no call" in made(routine, calls=0, borrowed=5).reason


def test_a_plan_beyond_the_budget_says_that_the_rest_follows() -> None:
    many = tuple(request(number, newer=number * 10, created_at=NOW - 3600 - number) for number in range(90))

    assert made(*many, calls=1).reason.endswith("; the budget has 1 now, the rest follows")


def test_a_plan_continues_from_a_checkpoint() -> None:
    begun = Checkpoint(offset=190)

    chosen = made(request(), checkpoint=begun)

    assert (chosen.kind, chosen.checkpoint) == ("open", begun)


def test_a_plan_that_is_carried_out_finds_everything() -> None:
    server = ListServer()
    server.ask(500)
    for number in range(0, 500, 7):
        server.end(f"r{number}")
    reconcile, chosen = PlanExecution(made(*server.known())), set[str]()

    while (call := reconcile.next_call()) is not None:
        chosen.update(reconcile.step(call, server.answer(call)).ended)

    assert (chosen, server.calls) == ({f"r{number}" for number in range(0, 500, 7)}, 6)


def test_healthy_webhooks_need_few_checks_and_lossy_ones_more() -> None:
    requests = [request(number) for number in range(90)]

    calm = intervals(requests, WebhookHealth(ended_per_hour=80), now=NOW, calls_per_hour=50)
    alarmed = intervals(requests, LOSING, now=NOW, calls_per_hour=50)

    assert (calm.shortest, alarmed.shortest) == (1800.0, 135.0)
    assert (calm.calls_per_hour, alarmed.calls_per_hour) == (2.0, 50.0)


def test_fewer_calls_stretch_every_interval() -> None:
    requests = [request(number, newer=number * 5) for number in range(200)]

    few, many = (intervals(requests, LOSING, now=NOW, calls_per_hour=calls) for calls in (5, 50))

    assert few.slowness > many.slowness >= 1.0


def test_the_guaranteed_interval_fits_the_budget_or_has_a_warning() -> None:
    kept = guaranteed_interval(200, CheckIntervals(shortest=600, calls_per_hour=50))
    broken = guaranteed_interval(50_000, CheckIntervals(shortest=600, calls_per_hour=5))

    assert (kept.seconds, kept.warning) == (2 * 600 + 2 * 3 * 72, None)
    assert broken.warning is not None
    assert "50000 open requests need 527 pages a round" in broken.warning


def test_webhook_health_follows_from_how_decisions_were_found() -> None:
    webhook_health = WebhookHealth()

    for _ in range(100):
        webhook_health = after_decision(webhook_health, by_webhook=False, now=NOW)

    assert webhook_health.loss > 0.99
    assert webhook_health.is_silent(1, NOW)
    assert not after_decision(webhook_health, by_webhook=True, now=NOW).is_silent(1, NOW + 60)
