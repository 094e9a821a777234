"""Traces of a whole stack, through the SDK of OpenTelemetry and OTLP over HTTP."""

from collections.abc import Iterator

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client
from hitlsh.api.questions.new_question import NewQuestion
from hitlsh.callbacks import CallbackSigner
from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes.stacks import KEY, SECRET, LiveStack, key_of
from tests.processes.trace_collector import CollectedSpan, TraceCollector, collecting
from workers.asking import AskingService
from workers.handlers.loading import load_router
from workers.inbox import keys
from workers.inbox.operations.replaying import replay
from workers.redis_clients import drain_client
from workers.settings import Settings

API_KEY = "hitl_test_0123456789abcdef0123456789abcdef"
STRANGERS = "00-11111111111111111111111111111111-2222222222222222-01"
#: What somebody who can write to Redis, or to us, may put in the place of a `traceparent`.
INVALID = [
    b"",
    b"00-00000000000000000000000000000000-2222222222222222-01",
    b"00-11111111111111111111111111111111-0000000000000000-01",
    b"ff-11111111111111111111111111111111-2222222222222222-01",
    b"00-1111111111111111111111111111111G-2222222222222222-01",
    b"\xff" * 55,
    b"\x00" * 55,
    b"00-11111111111111111111111111111111-2222222222222222-01" * 1_000,
]


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(keys={API_KEY: "owner@example.com"}) as running:
        yield running


@pytest.fixture(scope="module")
def stack(collector: TraceCollector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    more = {
        "HITL_HANDLERS": "tests.processes.traced_handlers",
        "TARGET": collector.url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with LiveStack(tmp_path_factory.mktemp("stack"), more) as running:
        yield running


def send(stack: LiveStack, request_id: str, response: str, *, traceparent: str | bytes = b"") -> str:
    """Post a signed delivery; returns its event key."""
    body = payload(request_id * 24, response)
    sent = {"traceparent": traceparent} if traceparent else {}
    reply = stack.http.post(f"{stack.url}{WEBHOOKS}", content=body, headers={**headers(SECRET, body), **sent})
    assert reply.status_code == 202, reply
    return key_of(body)


def wait_for_spans(
    stack: LiveStack, collector: TraceCollector, event: str, name: str, count: int = 1
) -> list[CollectedSpan]:
    """Wait until so many spans of the event have this name."""
    stack.wait(lambda: len(collector.of_event(event, name)) >= count, 15.0, f"{count} spans {name} of {event}")
    return collector.of_event(event, name)


def test_a_handler_run_belongs_to_the_trace_of_its_delivery(stack: LiveStack, collector: TraceCollector) -> None:
    event = send(stack, "a", "Approve")

    [run] = wait_for_spans(stack, collector, event, "pay_out")
    [delivery] = wait_for_spans(stack, collector, event, f"POST {WEBHOOKS}")
    assert (delivery.kind, delivery.parent_id, delivery.service) == ("server", "", "hitl-receiver")
    assert delivery.attributes["http.response.status_code"] == 202
    assert delivery.attributes["hitl.reason"] == "accepted"
    assert (run.kind, run.trace_id, run.parent_id) == ("consumer", delivery.trace_id, delivery.span_id)
    assert run.attributes["hitl.request"] == "a" * 24
    assert (run.attributes["hitl.outcome"], run.attributes["hitl.attempt"]) == ("done", 1)


def test_a_span_of_the_handlers_own_is_part_of_its_run(stack: LiveStack, collector: TraceCollector) -> None:
    event = send(stack, "b", "Approve")

    [run] = wait_for_spans(stack, collector, event, "pay_out")
    stack.wait(lambda: len(collector.of_trace(run.trace_id)) == 3, 15.0, "the span of the handler")
    [own] = [span for span in collector.of_trace(run.trace_id) if span.name == "own step"]
    assert own.parent_id == run.span_id


def test_each_attempt_is_a_span_in_the_same_trace(stack: LiveStack, collector: TraceCollector) -> None:
    event = send(stack, "c", "Fail once")

    failed, done = wait_for_spans(stack, collector, event, "fail_once", 2)
    assert failed.trace_id == done.trace_id
    assert failed.parent_id == done.parent_id != ""
    assert [span.attributes["hitl.attempt"] for span in (failed, done)] == [1, 2]
    assert [span.attributes["hitl.outcome"] for span in (failed, done)] == ["retry", "done"]
    assert [span.has_error for span in (failed, done)] == [True, False]


def test_a_replay_is_a_span_in_the_same_trace(
    stack: LiveStack, collector: TraceCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET", collector.url)
    event = send(stack, "d", "Approve")
    wait_for_spans(stack, collector, event, "pay_out")
    stack.wait_until_settled()

    replay(stack.redis, load_router("tests.processes.traced_handlers"), [event], retention=86_400, force=True)

    first, again = wait_for_spans(stack, collector, event, "pay_out", 2)
    assert (first.trace_id, first.parent_id) == (again.trace_id, again.parent_id)


@pytest.mark.parametrize(("response", "path"), [("Forward", "/hooks/secret"), ("Call", "/accounts/")])
def test_an_outgoing_call_carries_the_trace(
    stack: LiveStack, collector: TraceCollector, response: str, path: str
) -> None:
    event = send(stack, "e" if response == "Call" else "f", response)

    [run] = wait_for_spans(stack, collector, event, "call" if response == "Call" else "hook")
    stack.wait(lambda: len(collector.of_trace(run.trace_id)) == 5, 15.0, "all spans of the trace")
    [outgoing] = [span for span in collector.of_trace(run.trace_id) if span.kind == "client"]
    [traceparent] = [sent for called, sent in collector.calls if called.startswith(path)]
    assert outgoing.name == "POST"
    assert outgoing.parent_id == run.span_id
    assert traceparent == outgoing.traceparent


def test_spans_name_no_person_and_no_secret(stack: LiveStack, collector: TraceCollector) -> None:
    for number, response in enumerate(("Fail once", "Call", "Forward")):
        event = send(stack, str(number), response)
        wait_for_spans(stack, collector, event, ("fail_once", "call", "hook")[number])
    stack.wait(lambda: collector.calls, 15.0, "the calls")

    exported = "".join(collector.exported)
    assert "ada@example.com" not in exported
    assert "secret" not in exported


def test_a_callback_url_is_not_in_its_span(stack: LiveStack, collector: TraceCollector) -> None:
    token = CallbackSigner([KEY]).mint(None)
    body = payload("7" * 24)

    assert stack.http.post(f"{stack.url}/callbacks/{token}", content=body).status_code == 202

    wait_for_spans(stack, collector, key_of(body), "POST /callbacks/{token}")
    assert token not in "".join(collector.exported)


def test_a_senders_trace_is_linked_and_not_continued(stack: LiveStack, collector: TraceCollector) -> None:
    event = send(stack, "8", "Approve", traceparent=STRANGERS)

    [delivery] = wait_for_spans(stack, collector, event, f"POST {WEBHOOKS}")
    assert (delivery.parent_id, delivery.links) == ("", (("1" * 32, "2" * 16),))
    assert delivery.trace_id != "1" * 32


def test_a_senders_invalid_trace_is_ignored(stack: LiveStack, collector: TraceCollector) -> None:
    for number, traceparent in enumerate(value for value in INVALID if b"\x00" not in value and len(value) < 8_000):
        event = send(stack, f"{number:02d}", "Approve", traceparent=traceparent)

        [delivery] = wait_for_spans(stack, collector, event, f"POST {WEBHOOKS}")
        assert (delivery.parent_id, delivery.links) == ("", ())


def test_an_unverified_delivery_makes_no_span(stack: LiveStack, collector: TraceCollector) -> None:
    body = payload("9" * 24)
    refused = stack.http.post(f"{stack.url}{WEBHOOKS}", content=body, headers=headers("another secret of 16", body))
    assert refused.status_code == 401
    wait_for_spans(stack, collector, send(stack, "ab", "Approve"), "pay_out")

    assert not collector.of_event(key_of(body))


def test_an_overruling_outcome_runs_in_the_trace_of_its_own_delivery(
    stack: LiveStack, collector: TraceCollector
) -> None:
    weaker = payload("ef" * 12, "Approve")
    assert stack.post_to(stack.callback_path(), weaker).status_code == 202
    [overruled] = wait_for_spans(stack, collector, key_of(weaker), "pay_out")
    stack.wait_until_settled()

    stronger = payload("ef" * 12, "Reject")
    stack.post(stronger)

    [delivery] = wait_for_spans(stack, collector, key_of(stronger), f"POST {WEBHOOKS}")
    stack.wait(lambda: [span for span in list(collector.spans) if span.name == "audit"], 15.0, "the audit")
    [audit] = [span for span in collector.spans if span.name == "audit"]
    assert audit.parent_id == delivery.span_id
    assert delivery.attributes["hitl.reason"] == "overruled"
    assert audit.attributes["hitl.overrules"] is True
    assert audit.trace_id == delivery.trace_id != overruled.trace_id


@pytest.mark.parametrize("stored", [None, *INVALID])
def test_an_event_without_a_valid_trace_runs_in_one_of_its_own(
    stack: LiveStack, collector: TraceCollector, stored: bytes | None
) -> None:
    number = 0 if stored is None else 1 + INVALID.index(stored)
    event = send(stack, f"cd{number:02d}", "Postpone")
    [first] = wait_for_spans(stack, collector, event, "postpone")
    stack.wait(lambda: not stack.redis.hlen(keys.LEASES), 10.0, "the effect waits")
    field = "signed:traceparent"
    assert stack.redis.hget(keys.event(event), field) is not None

    if stored is None:
        stack.redis.hdel(keys.event(event), field)
    else:
        stack.redis.hset(keys.event(event), field, stored)
    stack.redis.zadd(keys.DUE, {f"postpone|{event}": 0}, xx=True)
    stack.redis.lpush(keys.WAKE, 1)

    _, again = wait_for_spans(stack, collector, event, "postpone", 2)
    assert again.attributes["hitl.outcome"] == "done"
    assert (again.parent_id, again.links) == ("", ())
    assert again.trace_id != first.trace_id


async def test_a_handler_run_links_the_trace_that_asked(
    stack: LiveStack, collector: TraceCollector, sandbox: Sandbox
) -> None:
    with Client(API_KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Desk", icon="key").loop
    sandbox.add_member(loop.id, "ann@example.com")
    settings = Settings(
        redis_url=stack.stack.redis_url, api_key=API_KEY, base_url=sandbox.base_url, callback_secrets=(KEY,),
        public_url=stack.url,
    )  # fmt: skip
    redis = drain_client(stack.stack.redis_url)
    asked_in = SpanContext(int("3" * 32, 16), int("4" * 16, 16), is_remote=False, trace_flags=TraceFlags(1))
    question = NewQuestion(
        text="Refund?", loop=loop.id, response_type="boolean", default_response=False, timeout_seconds=600
    )

    async with AskingService(settings, redis) as service:
        with use_span(NonRecordingSpan(asked_in)):
            asked = (await service.submit(question)).request
    await redis.aclose()
    assert asked.request_id is not None
    sandbox.answer(asked.request_id, True)

    def runs() -> list[CollectedSpan]:
        spans = [span for span in list(collector.spans) if span.name == "pay_out"]
        return [span for span in spans if span.attributes["hitl.request"] == asked.request_id]

    stack.wait(runs, 15.0, "the handler's span")
    [run] = runs()
    assert run.links == (("3" * 32, "4" * 16),)
    assert run.trace_id != "3" * 32
