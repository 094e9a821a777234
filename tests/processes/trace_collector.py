"""A local OTLP/HTTP collector, which is the target of traced calls too."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from tests.ports import free_port


@dataclass(frozen=True, kw_only=True)
class CollectedSpan:
    """One span as it was exported."""

    name: str
    kind: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    #: As (trace id, span id).
    links: tuple[tuple[str, str], ...]
    attributes: Mapping[str, Any]
    has_error: bool
    error: str

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass(frozen=True)
class TraceCollector:
    """What has arrived."""

    url: str
    spans: list[CollectedSpan] = field(default_factory=list)
    #: Path and `traceparent` of each call that is no export.
    calls: list[tuple[str, str]] = field(default_factory=list)
    #: Everything that was exported, as text.
    exported: list[str] = field(default_factory=list)

    def of_event(self, event_key: str, name: str | None = None) -> list[CollectedSpan]:
        """The spans that name this event, by their order of arrival."""
        return [
            span
            for span in list(self.spans)
            if span.attributes.get("hitl.event_key") == event_key and name in (None, span.name)
        ]

    def of_trace(self, trace_id: str) -> list[CollectedSpan]:
        return [span for span in list(self.spans) if span.trace_id == trace_id]


@contextmanager
def collecting() -> Iterator[TraceCollector]:
    """A collector that runs in a thread."""
    port = free_port()
    collector = TraceCollector(f"http://127.0.0.1:{port}")

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path == "/v1/traces":
                message = ExportTraceServiceRequest.FromString(body)
                collector.exported.append(str(message))
                collector.spans.extend(_spans(message))
            else:
                collector.calls.append((self.path, self.headers.get("traceparent", "")))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Exchange)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(message: ExportTraceServiceRequest) -> Iterator[CollectedSpan]:
    for of_resource in message.resource_spans:
        service = _attributes(of_resource.resource.attributes)["service.name"]
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield CollectedSpan(
                    name=span.name,
                    kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    service=service,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    attributes=_attributes(span.attributes),
                    has_error=span.status.code == 2,
                    error=span.status.message,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
