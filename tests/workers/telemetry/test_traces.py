"""Traces as a process turns them on and off. What they show is tested in tests/processes/test_traces.py."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from hitlsh.trace_context import current_traceparent, valid_traceparent
from workers.telemetry import traces

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WITHOUT_EXTRAS = ROOT / "tests" / "processes" / "without_extras"
TRACEPARENT = "00-11111111111111111111111111111111-2222222222222222-01"
SPAN = """
import sys
from workers.telemetry import traces
traces.start(traces_calls=True)
with traces.span("consumer", "pay_out", attributes=lambda: {"hitl.handler": "pay_out", "broken": "\\ud800"}) as span:
    print(traces.is_on(), span.traceparent != "", "opentelemetry" in sys.modules, flush=True)
traces.stop()
"""


def run(*path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Make one span in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", SPAN],
        env={**inherited, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize(
    ("environ", "configured"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "payments"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_an_exporter_turns_traces_on(environ: Mapping[str, str], configured: bool) -> None:
    assert traces.is_configured(environ) is configured


def test_without_an_exporter_nothing_is_imported() -> None:
    assert run().stdout == "False False False\n"


def test_the_console_exporter_prints_spans() -> None:
    shown = run(OTEL_TRACES_EXPORTER="console").stdout

    assert shown.startswith("True True True\n")
    assert '"name": "pay_out"' in shown
    assert '"service.name": "hitl-receiver"' in shown
    assert '"broken": "?"' in shown


def test_the_standard_variable_names_the_service() -> None:
    assert '"service.name": "payments"' in run(OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="payments").stdout


def test_without_the_extra_a_warning_names_it() -> None:
    done = run(WITHOUT_EXTRAS, OTEL_TRACES_EXPORTER="console")

    assert done.stdout == "False False False\n"
    assert "traces.off" in done.stderr
    assert "pip install 'hitl-receiver[otel]'" in done.stderr


def test_an_exporter_that_is_not_installed_stops_nothing() -> None:
    done = run(OTEL_TRACES_EXPORTER="zipkin")

    assert done.stdout.startswith("False False")
    assert "traces.off error=LookupError: no installed package has an exporter 'zipkin'" in done.stderr


@pytest.mark.parametrize(
    ("environ", "advice"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "pip install opentelemetry-exporter-otlp-proto-grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://me:hidden@host"}, "OTEL_EXPORTER_OTLP_ENDPOINT must begin with http"),
    ],
)
def test_a_setting_that_cannot_work_is_named(environ: dict[str, str], advice: str) -> None:
    done = run(**{"OTEL_TRACES_EXPORTER": "otlp", **environ})

    assert done.stdout.startswith("False False")
    assert advice in done.stderr
    assert "hidden" not in done.stderr


def test_a_header_that_cannot_be_read_is_not_logged() -> None:
    done = run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_HEADERS="api-key hidden")

    assert "traces.header_invalid" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("module", ["service.web.app", "service.cli.main", "workers.jobs", "hitlsh.asking_client"])
def test_no_module_imports_the_tracer_by_itself(module: str) -> None:
    # redis-py imports OpenTelemetry where it finds it.
    code = f"import sys, redis; present = set(sys.modules); import {module}; print(*set(sys.modules) - present)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert module in imported.stdout.split()
    assert "opentelemetry" not in imported.stdout
    assert "workers.telemetry.otel_tracer" not in imported.stdout


def test_a_collector_that_does_not_answer_holds_up_no_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()

        done = run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")

    assert done.stdout == "True True True\n"
    assert time.monotonic() - began < 10.0  # the exporter's own timeout alone


@pytest.mark.parametrize("text", [TRACEPARENT, TRACEPARENT.encode()])
def test_a_valid_traceparent_is_read(text: str | bytes) -> None:
    assert valid_traceparent(text) == TRACEPARENT


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        TRACEPARENT.replace("1", "0"),
        TRACEPARENT.replace("2", "0"),
        TRACEPARENT.replace("00-", "01-", 1),
        TRACEPARENT.replace("1", "A"),
        TRACEPARENT.upper().replace("1", "F"),
        f"{TRACEPARENT}-more",
        f" {TRACEPARENT[:-1]}",
        TRACEPARENT[:-1] + "\n",
        b"\xff" * 55,
        "\u0661" * 55,
    ],
)
def test_an_invalid_traceparent_is_none(text: str | bytes | None) -> None:
    assert valid_traceparent(text) == ""


def test_the_current_span_has_a_traceparent() -> None:
    context = SpanContext(int("1" * 32, 16), int("2" * 16, 16), is_remote=False, trace_flags=TraceFlags(1))

    with use_span(NonRecordingSpan(context)):
        inside = current_traceparent()

    assert (inside, current_traceparent()) == (TRACEPARENT, "")


def test_a_program_that_does_not_trace_is_in_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")

    assert current_traceparent() == ""
