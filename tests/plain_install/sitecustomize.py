"""On PYTHONPATH, Python as it is where only hitl-receiver is installed, as in production.

structlog imports `rich`, and redis-py imports the SDK of OpenTelemetry, wherever they find them: a third of the time
that a process of ours takes to start. The SDK is there for a process that an OTEL_* variable tells to trace.
"""

import os
import sys

sys.modules["rich"] = None  # type: ignore[assignment] # an import of it raises ModuleNotFoundError
if not any(name.startswith("OTEL_") for name in os.environ):
    sys.modules["opentelemetry.sdk"] = None  # type: ignore[assignment]
