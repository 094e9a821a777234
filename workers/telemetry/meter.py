"""Counts in memory, and gives the increments away once a second: no event costs a call to Redis."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from workers.telemetry.metric_catalog import Metric

#: Between the parts of a counter's field: the metric, its labels, and of a histogram `sum` or an upper bound.
SEPARATOR = "|"
#: The sum of a histogram is counted in millionths of its unit, since Redis counts in whole numbers.
SUM_SCALE = 1_000_000


class Histogram:
    """Observations of one metric with one set of labels."""

    def __init__(self, metric: Metric, labels: tuple[str, ...]) -> None:
        self._field = SEPARATOR.join((metric.name, *labels))
        self._buckets = metric.buckets
        self._counts = [0] * (len(metric.buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; one below 0 (two clocks differ) is 0."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._buckets, value)] += 1
        self._sum += value

    def take(self) -> dict[str, int]:
        """The increments since the last time."""
        if not any(self._counts):
            return {}
        taken = {
            f"{self._field}{SEPARATOR}{bound}": count
            for bound, count in zip((*self._buckets, "+Inf"), self._counts, strict=True)
            if count
        }
        taken[f"{self._field}{SEPARATOR}sum"] = round(self._sum * SUM_SCALE)
        self._counts = [0] * len(self._counts)
        self._sum = 0.0
        return taken


class Meter:
    """The counters and histograms of one process, as increments of what Redis has."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._histograms: dict[tuple[str, ...], Histogram] = {}

    def count(self, metric: Metric, *labels: str, times: int = 1) -> None:
        """Add to a counter."""
        self._counts[SEPARATOR.join((metric.name, *labels))] += times

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """The histogram with these labels; keep it where values are observed often."""
        key = (metric.name, *labels)
        if (histogram := self._histograms.get(key)) is None:
            histogram = self._histograms[key] = Histogram(metric, labels)
        return histogram

    def take(self) -> Mapping[str, int]:
        """The increments since the last time, which the caller adds to those in Redis."""
        taken, self._counts = self._counts, Counter()
        for histogram in self._histograms.values():
            taken.update(histogram.take())
        return taken

    def give_back(self, increments: Mapping[str, int]) -> None:
        """Redis did not take these: they go with the next."""
        self._counts.update(increments)
