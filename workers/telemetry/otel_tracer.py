"""Makes spans with the SDK of OpenTelemetry. Imported only if traces are configured: see `traces`."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import entry_points
from types import TracebackType
from typing import Self

import httpx
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor, RequestInfo
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from hitlsh.trace_context import valid_traceparent
from workers.telemetry.traces import Attributes, Span, SpanKind

#: Characters of an attribute's value.
LONGEST_VALUE = 256
#: Seconds to send the remaining spans at the end.
_CLOSE_SECONDS = 2.0
_KINDS = {
    "server": trace.SpanKind.SERVER,
    "consumer": trace.SpanKind.CONSUMER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
}
_ROOT = Context()
#: Attributes that hold the URL of a call, by the older and the newer conventions.
_URLS = {"http.url", "url.full"}


class OtelTracer:
    """The tracer of one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("hitl_receiver")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, traces_calls: bool) -> Self:
        """Set up the SDK from its standard variables; raises the errors of exporters, and `LookupError`."""
        logging.getLogger("opentelemetry.util.re").addFilter(_hide_header)
        exporters = [_exporter(name) for name in _exporter_names(environ)]
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for exporter in exporters:
            provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)  # for the spans of the user
        if traces_calls and "httpx" not in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ""):
            HTTPXClientInstrumentor().instrument(request_hook=_hide_url, async_request_hook=_hide_url_async)
        return cls(provider)

    def begin(
        self,
        kind: SpanKind,
        name: str,
        *,
        parent: str | None,
        links: Sequence[str],
        started: datetime | None,
        attributes: Callable[[], Attributes] | None,
    ) -> Span:
        """See `traces.span`."""
        span = self._tracer.start_span(
            name,
            context=None if parent is None else _remote(parent),
            kind=_KINDS[kind],
            links=[Link(linked) for text in links if (linked := _span_context(text)) is not None],
            start_time=None if started is None else int(started.timestamp() * 1e9),
            record_exception=False,
            set_status_on_exception=False,
        )
        return OtelSpan(span, dict(attributes()) if attributes is not None and span.is_recording() else {})

    def close(self) -> None:
        """Send the remaining spans. An exporter that hangs must not delay the end of this process."""
        closing = threading.Thread(target=self._provider.shutdown, name="hitl-traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class OtelSpan(Span):
    """A span of OpenTelemetry."""

    __slots__ = ("_attributes", "_has_error", "_span", "_token")

    def __init__(self, span: trace.Span, attributes: dict[str, str | int | float]) -> None:
        self._span = span
        #: Set together at the end: each call of the SDK costs about as much as an attribute.
        self._attributes = attributes
        self._has_error = False

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def headers(self) -> dict[str, str]:
        return {"traceparent": self.traceparent}

    def add(self, attributes: Attributes, *, error: str | None = None) -> None:
        if self._span.is_recording():
            self._attributes.update(attributes)
            if error is not None:
                self._span.set_status(Status(StatusCode.ERROR, error[:LONGEST_VALUE]))
                self._has_error = True

    def __enter__(self) -> Self:
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        otel_context.detach(self._token)
        if kind is not None and not self._has_error:
            self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
        if self._attributes:
            self._span.set_attributes({name: _clean(value) for name, value in self._attributes.items()})
        self._span.end()


def _span_context(text: str) -> SpanContext | None:
    """The span that an untrusted `traceparent` names; None if it is not valid."""
    if not (valid := valid_traceparent(text)):
        return None
    _, trace_id, span_id, flags = valid.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16) & TraceFlags.SAMPLED)
    )


def _remote(parent: str) -> Context:
    context = _span_context(parent)
    return _ROOT if context is None else trace.set_span_in_context(NonRecordingSpan(context), _ROOT)


def _clean(value: str | float) -> str | float:
    """A value that can be sent: short, and without lone surrogates, which would lose the whole batch."""
    if not isinstance(value, str) or (value.isascii() and len(value) <= LONGEST_VALUE):
        return value
    return value[:LONGEST_VALUE].encode("utf-8", "replace").decode()


def _exporter_names(environ: Mapping[str, str]) -> list[str]:
    """The exporters by the names that packages register; raises `ValueError` for an invalid address."""
    names = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()] or ["otlp"]
    otlp = "otlp_proto_grpc" if _of_otlp(environ, "PROTOCOL")[1] == "grpc" else "otlp_proto_http"
    names = [otlp if name == "otlp" else name for name in dict.fromkeys(names) if name != "none"]
    variable, endpoint = _of_otlp(environ, "ENDPOINT")
    if "otlp_proto_http" in names and endpoint and not endpoint.lower().startswith(("http://", "https://")):
        # The message omits it, because it may contain a password.
        raise ValueError(f"{variable} must begin with http:// or https://")
    return names


def _of_otlp(environ: Mapping[str, str], setting: str) -> tuple[str, str]:
    """The variable of an OTLP setting for traces, and its value; empty if none is set."""
    for variable in (f"OTEL_EXPORTER_OTLP_TRACES_{setting}", f"OTEL_EXPORTER_OTLP_{setting}"):
        if value := environ.get(variable, "").strip():
            return variable, value
    return "", ""


def _exporter(name: str) -> SpanExporter:
    """The exporter that a package registers under the name."""
    for entry in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: SpanExporter = entry.load()()
        return exporter
    package = f"opentelemetry-exporter-{name.replace('_', '-')}"
    raise LookupError(f"no installed package has an exporter {name!r}; pip install {package} may bring it")


def _hide_header(record: logging.LogRecord) -> bool:
    """Remove the header from the warning that it is invalid, because it is usually a password."""
    record.msg, record.args = "traces.header_invalid: write OTEL_EXPORTER_OTLP_HEADERS as name=value, URL encoded", ()
    return True


def _resource() -> Resource:
    """The resource from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; the default service is hitl-receiver."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "hitl-receiver"}))
    return resource


def _hide_url(span: trace.Span, request: RequestInfo) -> None:
    """Keep only the host of a URL that a handler calls: paths and queries contain names and secrets."""
    if isinstance(span, ReadableSpan) and span.attributes is not None:
        url = httpx.URL(request.url) if isinstance(request.url, httpx.URL | str) else None
        shown = "" if url is None else f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
        for name in _URLS & span.attributes.keys():
            span.set_attribute(name, shown)


async def _hide_url_async(span: trace.Span, request: RequestInfo) -> None:
    _hide_url(span, request)
