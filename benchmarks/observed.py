"""hitl-receiver whose metrics, logs and traces go on and off while it runs: ``python FILE serve``.

SIGUSR2 makes it read the file that BENCH_MODE names, which holds a mode of `MODES`; it answers in a file of its own.
"""

import logging
import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from hitl_receiver.__main__ import main
from service.log_format import LogFormatter, LogStyle
from workers.telemetry import meter, traces
from workers.telemetry.metric_catalog import Metric
from workers.telemetry.otel_tracer import OtelTracer

#: What each mode does: what it is called, and whether it counts, the style of its log and the sampler of its traces.
STYLES: dict[str, LogStyle] = {"console": "console", "json": "json"}
SAMPLERS = {"unsampled": ParentBased(ALWAYS_OFF), "sampled": ParentBased(ALWAYS_ON)}
MODES = {
    "bare": "without any of these",
    "metrics": "metrics",
    "console": "metrics, and logs for the console",
    "json": "metrics, and logs as JSON",
    "unsampled": "traces of which none is sampled",
    "sampled": "traces of which each is sampled",
}
_OBSERVE, _COUNT = meter.Histogram.observe, meter.Meter.count


def _ignore_value(self: meter.Histogram, value: float) -> None:
    """Count nothing."""


def _ignore_count(self: meter.Meter, metric: Metric, *labels: str, times: int = 1) -> None:
    """Count nothing."""


class Switch:
    """Turns all of it on and off in this process."""

    def __init__(self) -> None:
        #: The tracer that the process has made, while it is off.
        self._tracer: OtelTracer | None = None

    def set(self, mode: str) -> None:
        if mode in ("metrics", *STYLES):
            meter.Histogram.observe = _OBSERVE  # type: ignore[method-assign]
            meter.Meter.count = _COUNT  # type: ignore[method-assign]
        else:
            meter.Histogram.observe = _ignore_value  # type: ignore[method-assign]
            meter.Meter.count = _ignore_count  # type: ignore[method-assign]
        root = logging.getLogger()
        root.setLevel(logging.INFO if mode in STYLES else logging.ERROR)
        for handler in root.handlers:
            handler.setFormatter(LogFormatter(STYLES.get(mode, "console")))
        self._tracer = traces._tracer or self._tracer
        traces._tracer = self._tracer if mode in SAMPLERS else None
        if mode in SAMPLERS and self._tracer is not None:
            assert isinstance(self._tracer._tracer, Tracer)
            self._tracer._tracer.sampler = SAMPLERS[mode]

    def send_spans(self) -> None:
        """Send what was not sent yet."""
        if self._tracer is not None:
            self._tracer._provider.force_flush()


if __name__ == "__main__":
    switch = Switch()
    mode_file = Path(os.environ["BENCH_MODE"])

    def read_mode(*_: object) -> None:
        mode = mode_file.read_text()
        switch.set(mode)
        switch.send_spans()
        mode_file.with_name(f"mode.{os.getpid()}").write_text(mode)

    signal.signal(signal.SIGUSR2, read_mode)
    main()
