"""The current trace in the format of W3C Trace Context (https://www.w3.org/TR/trace-context/). No I/O.

OpenTelemetry is never imported here: a program with tracing has imported it.
"""

import re
import sys

#: Version 00, the ids of trace and span, and flags.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
LENGTH = 55


def valid_traceparent(text: str | bytes | None) -> str:
    """The text if it is a `traceparent` of version 00, else an empty text; its writer is not trusted."""
    if text is None or len(text) != LENGTH:
        return ""
    decoded = text if isinstance(text, str) else text.decode("ascii", "replace")
    return decoded if _TRACEPARENT.fullmatch(decoded) else ""


def current_traceparent() -> str:
    """The `traceparent` of the current span; empty without tracing or outside a span."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ""
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
