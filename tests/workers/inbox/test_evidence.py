"""The rule of evidence: which outcome is the decision, and what its handlers see, in every order of arrival."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitlsh.webhooks.parsing import parse
from tests.builders import claimed, delivery, key, payload
from tests.inbox_records import recent
from tests.workers.inbox.invariants import broken
from tests.workers.inbox.one_worker import OneWorker
from workers import Router
from workers.inbox import keys, request_records
from workers.inbox.operations.failures import ChangeRefused, retry
from workers.inbox.operations.replaying import replay
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox
from workers.trust import LEVELS

pytestmark = pytest.mark.slow

REQUEST = "66c0ffee00000000000000a1"
BODIES = {
    "Approve": payload(),
    "Reject": payload(response="Reject"),
    "timeout": payload(status="timeout"),
}
#: Two that cannot be compared: a callback whose value and label differ, and the account webhook, which has the label.
INCOMPARABLE = {
    "V1": payload(response_data={"selected_value": "v1", "selected_label": "Quite another word"}),
    "Label": payload(response="Quite another word"),
}
KEY = key(BODIES["Approve"])
REJECTED = f"{KEY}#{getattr(parse(BODIES['Reject']), 'fingerprint')}"  # noqa: B009 - a union


def routes() -> Router:
    """A plain route, one that demands a signature, one that demands confirmation, and one that asks for conflicts."""
    router = Router()
    router.on("request.*", name="plain")(lambda decision: None)
    router.on("request.*", name="signed", trust="signed")(lambda decision: None)
    router.on("request.*", name="strict", trust="confirmed")(lambda decision: None)
    router.on("request.*", name="conflicts", conflict=True, late=True)(lambda decision: None)
    return router


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


def decision(redis: Redis) -> str | None:
    found = redis.hget(keys.request(REQUEST), "event")
    return found.decode() if found else None


async def accept(inbox: WorkerInbox, answer: str, trust: str, **more: Any) -> str:
    [verdict], _ = await inbox.accept([delivery((BODIES | INCOMPARABLE)[answer], trust=trust, **more)])
    return verdict


# -- single cases ------------------------------------------------------------------------------------------------


async def test_a_forged_callback_leaves_no_trace_in_the_signed_decision(inbox: WorkerInbox, redis: Redis) -> None:
    worker = OneWorker(inbox, routes())
    await accept(inbox, "Approve", "callback", callback_id="leaked", state={"to": "Mallory"})
    verdict = await accept(inbox, "Reject", "signed")
    await worker.settle()

    assert (verdict, decision(redis)) == ("overruled", REJECTED)
    assert {(run.handler, run.response, run.state) for run in worker.runs if run.handler != "conflicts"} == {
        ("plain", "Reject", None), ("signed", "Reject", None)
    }  # fmt: skip
    assert {(run.response, run.conflict) for run in worker.runs if run.handler == "conflicts"} == {
        ("Reject", False), ("Approve", True)
    }  # fmt: skip


async def test_the_true_signed_decision_reaches_routes_that_demand_a_signature(
    inbox: WorkerInbox, redis: Redis
) -> None:
    worker = OneWorker(inbox, routes())
    await accept(inbox, "Approve", "callback")
    await worker.settle()
    await accept(inbox, "Reject", "signed")
    await worker.settle()

    assert [(run.handler, run.response) for run in worker.runs if run.handler in {"plain", "signed"}] == [
        ("plain", "Approve"), ("signed", "Reject")
    ]  # fmt: skip
    record = lookup.event(redis, KEY)
    assert record is not None
    assert {effect.handler: effect.overruled for effect in record.effects}["plain"] is True
    assert broken(redis) == []


async def test_agreeing_evidence_raises_the_trust_and_supplies_its_content(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, "Approve", "callback", callback_id="one", state={"order": 7})
    verdict = await accept(inbox, "Approve", "signed")
    record = lookup.event(redis, KEY)

    assert record is not None
    assert (verdict, record.trust, record.callback) == ("duplicate", "signed", None)


async def test_weaker_evidence_changes_nothing(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, "Approve", "signed")
    before = redis.hgetall(keys.event(KEY))
    verdicts = [await accept(inbox, "Reject", "callback"), await accept(inbox, "Approve", "callback")]
    after = redis.hgetall(keys.event(KEY))

    assert verdicts == ["conflict", "duplicate"]
    assert {**before, b"deliveries": b"2"} == after
    assert redis.zscore(keys.CHECKS, REQUEST) is None  # a stranger causes no call


async def test_a_second_outcome_of_the_same_trust_makes_a_confirmation_due(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, "Approve", "callback")
    assert await accept(inbox, "Reject", "callback") == "conflict"
    assert redis.zscore(keys.CHECKS, REQUEST) is not None

    await accept(inbox, "Approve", "confirmed")
    assert redis.zscore(keys.CHECKS, REQUEST) is None


async def test_evidence_that_cannot_be_compared_is_neither_conflict_nor_duplicate(
    inbox: WorkerInbox, redis: Redis
) -> None:
    worker = OneWorker(inbox, routes())
    await accept(inbox, "V1", "callback")
    await worker.settle()
    verdict = await accept(inbox, "Label", "signed")
    await worker.settle()

    ran = Counter(run.handler for run in worker.runs)
    assert (verdict, ran["plain"], ran["signed"]) == ("accepted", 1, 1)
    assert [record.conflict for record in recent(redis)] == [False, False]
    assert broken(redis) == []


async def test_a_confirmed_decision_survives_a_kill_while_its_conflict_is_handled(
    inbox: WorkerInbox, redis: Redis
) -> None:
    """The event holds the turn itself when it becomes the decision: it must not wait behind itself."""
    worker = OneWorker(inbox, routes())
    await accept(inbox, "Reject", "callback")
    await worker.settle()
    await accept(inbox, "Approve", "callback")
    await worker.claim()  # the conflict is being routed
    worker.die()
    await accept(inbox, "Approve", "confirmed")
    await worker.expire_leases(redis)
    await worker.settle()

    assert [run.response for run in worker.runs if run.handler == "strict"] == ["Approve"]
    assert broken(redis) == []


async def test_a_decision_does_not_wait_behind_events_that_end_nothing(inbox: WorkerInbox, redis: Redis) -> None:
    old = [claimed(at=f"1971-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(200)]
    await inbox.accept([delivery(claimed())])  # tracked as open: what is old is not stale
    await inbox.accept([delivery(body) for body in old])
    [running] = (await inbox.claim(1)).items
    await inbox.accept([delivery()])

    [item] = (await inbox.claim(1)).items

    assert (running.stored.event.outcome, item.stored.event.outcome) == (None, "completed")


# -- every order of arrival --------------------------------------------------------------------------------------

evidence = st.tuples(st.just("accept"), st.sampled_from(sorted(BODIES)), st.sampled_from(sorted(LEVELS)))
steps = st.one_of(
    evidence,
    evidence,
    st.tuples(st.just("progress")),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.just("work"), st.integers(1, 4)),
    st.tuples(st.just("retry")),
    st.tuples(st.just("release")),
    st.tuples(st.just("die")),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=3, max_size=25))
def test_the_decision_and_its_effects_follow_from_the_evidence(
    redis: Redis, server: Any, story: list[tuple[Any, ...]]
) -> None:
    redis.flushall()

    async def live() -> tuple[OneWorker, list[tuple[str, str]]]:
        async with AsyncRedis.from_url(server.url) as client:
            inbox = WorkerInbox(client, retention=86_400, lease=15.0)
            worker, arrived = OneWorker(inbox, routes()), list[tuple[str, str]]()
            for verb, *rest in story:
                match verb:
                    case "accept":
                        await accept(inbox, *rest)
                        arrived.append((rest[0], rest[1]))
                    case "progress":
                        await inbox.accept([delivery(claimed())])
                    case "claim":
                        await worker.claim(*rest)
                    case "work":
                        await worker.work(*rest)
                    case "retry":
                        await worker.end("retry")
                    case "release":
                        await worker.end("release")
                    case "die":
                        worker.die()
                        await worker.expire_leases(redis)
                assert broken(redis) == []
            await worker.settle()
            assert broken(redis) == []
            return worker, arrived

    worker, arrived = asyncio.run(live())
    if not arrived:
        return
    strongest = max((trust for _, trust in arrived), key=LEVELS.__getitem__)  # type: ignore[index]
    answer = next(answer for answer, trust in arrived if trust == strongest)
    own = lookup.event(redis, decision(redis) or "")
    assert own is not None
    # Per level the first outcome speaks, between levels the stronger.
    assert getattr(own.content, "response") == (answer if answer != "timeout" else None)  # noqa: B009 - a union
    assert (own.trust, own.conflict, own.overruled) == (strongest, False, None)
    _check_runs(worker, redis, answer, strongest)


def _check_runs(worker: OneWorker, redis: Redis, answer: str, strongest: str) -> None:
    begun = Counter((run.handler, run.event_key) for run in worker.begun)
    by_handler = {
        name: [run for run in worker.begun if run.handler == name and run.ends]
        for name in ("plain", "signed", "strict")
    }
    for name, demanded in (("plain", "callback"), ("signed", "signed"), ("strict", "confirmed")):
        # Unique per request and route, but for what a worker that died had begun without its being on record.
        events = {run.event_key for run in by_handler[name] if not run.after_death}
        assert len(events) <= 1 or worker.died, (name, events)
        assert all(LEVELS[run.trust] >= LEVELS[demanded] for run in by_handler[name])  # type: ignore[index]
        if LEVELS[strongest] >= LEVELS[demanded]:  # type: ignore[index]
            assert by_handler[name], f"{name} never ran"
    # With the strongest evidence alone, the handler that demands it ran for the decision.
    if strongest == "confirmed":
        assert {run.response for run in by_handler["strict"]} == {answer if answer != "timeout" else None}
    assert begun


async def test_stronger_evidence_does_not_wait_for_a_worker_that_died(inbox: WorkerInbox, redis: Redis) -> None:
    await accept(inbox, "Approve", "callback")
    await inbox.claim(1)  # by a worker that dies while it routes
    await accept(inbox, "Reject", "signed")
    await OneWorker(inbox, routes()).expire_leases(redis)

    await inbox.claim(10, caller="busy")  # suspects are not for this one
    [item] = (await inbox.claim(10, caller="busy")).items

    assert item.stored.event.response == "Reject"
    assert broken(redis) == []


# -- what a person runs again ------------------------------------------------------------------------------------


def effects(redis: Redis) -> dict[str, str]:
    record = request_records.read(redis, REQUEST)
    return {} if record is None else dict(record.effects)


def again(redis: Redis, *names: str, **more: bool) -> int:
    return replay(redis, routes(), names or (REQUEST,), retention=86_400, **more).effects


@pytest.mark.parametrize("verb", ["retry", "replay"])
async def test_what_ends_nothing_takes_no_effect_from_the_decision(inbox: WorkerInbox, redis: Redis, verb: str) -> None:
    worker = OneWorker(inbox, routes())
    await inbox.accept([delivery(claimed())])
    await worker.claim()
    for _ in routes().routes:
        await worker.end("failed")
    changed = retry(redis, [REQUEST], retention=86_400).effects if verb == "retry" else again(redis)
    await worker.settle()
    before = effects(redis)
    await accept(inbox, "Approve", "confirmed")
    await worker.settle()

    assert (changed, before) == (2, {})
    assert {run.handler for run in worker.runs if run.ends} == {"plain", "signed", "strict", "conflicts"}
    assert broken(redis) == []


@pytest.mark.parametrize(("first", "second"), [("V1", "Label"), ("Approve", "Reject")])
async def test_a_handler_runs_once_a_request_unless_a_person_forces_it(
    inbox: WorkerInbox, redis: Redis, first: str, second: str
) -> None:
    worker = OneWorker(inbox, routes())
    await accept(inbox, first, "callback")
    await worker.settle()
    await accept(inbox, second, "signed")
    await worker.settle()
    ran = Counter(run.handler for run in worker.runs)
    name = decision(redis)
    assert name is not None

    with pytest.raises(
        ChangeRefused, match=rf"plain ran for another outcome .*: replay --force runs it for {name} too"
    ):
        again(redis, name, dry_run=True)
    with pytest.raises(ChangeRefused, match="plain ran for another outcome"):
        again(redis, name)
    await worker.settle()
    assert Counter(run.handler for run in worker.runs) == ran

    planned = again(redis, f"plain|{name}", force=True, dry_run=True)
    assert again(redis, f"plain|{name}", force=True) == planned == 1
    await worker.settle()
    assert Counter(run.handler for run in worker.runs) - ran == {"plain": 1}
    assert effects(redis)["plain"] == name
    assert broken(redis) == []


async def test_a_failed_effect_ends_when_a_person_forces_its_handler_for_the_decision(
    inbox: WorkerInbox, redis: Redis
) -> None:
    worker = OneWorker(inbox, routes())
    await accept(inbox, "V1", "callback")
    await worker.claim()
    await worker.end("failed")
    await accept(inbox, "Label", "signed")
    await worker.settle()
    replaced = f"plain|{KEY}"
    assert redis.zscore(keys.FAILED, replaced)

    assert again(redis, f"plain|{decision(redis)}", force=True) == 1
    await worker.settle()

    assert redis.zscore(keys.FAILED, replaced) is None
    assert redis.ttl(keys.event(KEY)) > 0
    assert broken(redis) == []


async def test_what_was_killed_on_weaker_evidence_can_be_run_for_the_decision(inbox: WorkerInbox, redis: Redis) -> None:
    """It may have done its work, so nothing but a person has it run for another outcome."""
    worker = OneWorker(inbox, routes())
    await accept(inbox, "Approve", "callback")
    await worker.claim()
    worker.die()
    await accept(inbox, "Reject", "signed")
    await worker.expire_leases(redis)
    await worker.settle()

    assert [run.response for run in worker.runs if run.handler == "plain"] == []
    assert lookup.event(redis, REJECTED).overrules  # type: ignore[union-attr]
    assert again(redis, f"plain|{REJECTED}", force=True) == 1
    await worker.settle()
    assert [run.response for run in worker.runs if run.handler == "plain"] == ["Reject"]
    assert broken(redis) == []
