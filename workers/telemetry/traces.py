"""Traces: a span for each delivery, handler run and outgoing call, through OpenTelemetry.

Without the extra `otel`, and until an OTEL_* variable names an exporter, nothing of OpenTelemetry is imported here, and
every span is `NO_SPAN`. `workers.telemetry.otel_tracer` creates real spans.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from workers.telemetry.otel_tracer import OtelTracer

logger = logging.getLogger("hitl.traces")

#: `server`: a request is served. `consumer`: a handler runs. `client`: a call is made. `producer`: an event is stored.
SpanKind: TypeAlias = Literal["server", "consumer", "client", "producer"]
Attributes: TypeAlias = Mapping[str, str | int | float]

#: Each of these can name the destination of spans.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_INSTALL = "pip install 'hitl-receiver[otel]'"

_tracer: "OtelTracer | None" = None


class Span:
    """A span that is not recorded."""

    __slots__ = ()

    @property
    def traceparent(self) -> str:
        """The text with which other processes continue the trace; empty without tracing."""
        return ""

    def headers(self) -> dict[str, str]:
        """The headers of the call that this span represents."""
        return {}

    def add(self, attributes: Attributes, *, error: str | None = None) -> None:
        """Add attributes; `error`: the reason of a failure, without personal data."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


NO_SPAN = Span()


def is_on() -> bool:
    """Whether this process traces."""
    return _tracer is not None


def span(
    kind: SpanKind,
    name: str,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    started: datetime | None = None,
    attributes: Callable[[], Attributes] | None = None,
) -> Span:
    """Begin a span, which is current in its ``with`` block and ends with it.

    `parent`, `links`: untrusted `traceparent` texts; invalid ones are ignored. Without a valid parent a trace begins;
    with None, the current span is the parent. `attributes` is called only for a span that is recorded.
    """
    if _tracer is None:
        return NO_SPAN
    return _tracer.begin(kind, name, parent=parent, links=links, started=started, attributes=attributes)


def without_http_spans() -> AbstractContextManager[None]:
    """A context in which no instrumentation records an HTTP call, because its URL is a secret."""
    utils = sys.modules.get("opentelemetry.instrumentation.utils")
    return nullcontext() if utils is None else utils.suppress_http_instrumentation()


def is_configured(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variables of OpenTelemetry name an exporter of spans."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    return exporters != "none" if exporters else any(environ.get(name, "").strip() for name in _ENDPOINTS)


def preload() -> None:
    """Import OpenTelemetry if it is configured, so that forked processes find it in memory."""
    if is_configured():
        _import_tracer()


def start(*, traces_calls: bool = False) -> None:
    """Trace from now on, if OpenTelemetry is configured and installed; in the process that traces, after any fork.

    `traces_calls`: also trace calls through httpx. No error of the configuration stops the process.
    """
    global _tracer
    if _tracer is not None or not is_configured() or (tracer := _import_tracer()) is None:
        return
    try:
        _tracer = tracer.from_environment(os.environ, traces_calls=traces_calls)
    except Exception as error:  # noqa: BLE001 - an exporter may raise anything
        logger.warning("traces.off error=%s: %s; check the OTEL_* variables", type(error).__name__, error)


def stop() -> None:
    """Send the remaining spans, for two seconds at the most, and stop tracing."""
    global _tracer
    tracer, _tracer = _tracer, None
    if tracer is not None:
        tracer.close()


def _import_tracer() -> "type[OtelTracer] | None":
    try:
        from workers.telemetry.otel_tracer import OtelTracer
    except ImportError as error:
        logger.warning("traces.off: an OTEL_* variable names an exporter, and %s is missing: %s", error.name, _INSTALL)
        return None
    return OtelTracer
