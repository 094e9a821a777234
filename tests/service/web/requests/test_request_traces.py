"""A program that asks over HTTP inside a span of its own: its trace continues in the receiver."""

from datetime import timedelta

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from redis import Redis

from hitlsh.api import single_select
from hitlsh.asking_client.hitl import Hitl
from tests.processes.trace_collector import collecting
from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import TOKEN, Asking, AskingReceiver
from workers.inbox import keys


@pytest.mark.slow
def test_a_question_is_asked_in_the_trace_of_its_program(asking: Asking, redis: Redis) -> None:
    program = SpanContext(int("1" * 32, 16), int("2" * 16, 16), is_remote=False, trace_flags=TraceFlags(1))

    with collecting() as collector:
        traced = asking.serving(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50")
        with traced as web, Hitl(web.url, TOKEN) as hitl, use_span(NonRecordingSpan(program)):
            asked = hitl.submit(
                "Refund?", loop="Payouts", answer=single_select("Yes", "No"), default="No", timeout=timedelta(hours=1)
            ).request
        wait_until(lambda: collector.spans)

    [span] = collector.spans
    assert (span.name, span.kind, span.trace_id, span.parent_id) == ("POST /requests", "server", "1" * 32, "2" * 16)
    assert span.attributes["hitl.question"] == asked.id
    assert asked.request_id is not None
    assert redis.hget(keys.request(asked.request_id), "traceparent") == span.traceparent.encode()


@pytest.mark.slow
def test_a_program_that_does_not_trace_stores_no_trace(web: AskingReceiver, redis: Redis) -> None:
    request = web.ask()

    assert not redis.hexists(keys.request(request["request_id"]), "traceparent")
