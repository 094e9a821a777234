"""Turns what Redis holds into the metrics of the catalog."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from service.metrics import figures
from service.metrics.figures import Figure
from workers.inbox import counters, metric_counts
from workers.settings import Settings
from workers.telemetry import metric_catalog as catalog
from workers.telemetry.meter import SEPARATOR, SUM_SCALE
from workers.telemetry.metric_catalog import METRICS, Metric

logger = logging.getLogger("hitl.metrics")

Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

#: Counters by their names in Redis; all others count deliveries.
_COUNTERS = {
    "refused_tracked": catalog.REFUSED_TRACKED,
    counters.CONFLICTS: catalog.CONFLICTS,
    counters.MISUSES: catalog.MISUSES,
    counters.JOBS_REFUSED: catalog.JOBS_REFUSED,
    "repaired": catalog.REPAIRS,
    counters.RATE_LIMITED: catalog.RATE_LIMITED,
    "beats": catalog.WEB_BEATS,
}
_NOT_SHOWN = frozenset({"refused_inspected", "refused_not_expedited"})
_BY_NAME = {metric.name: metric for metric in METRICS}


class InboxCollector(Collector):
    """Reads Redis at each scrape. One that fails shows `hitl_redis_up 0`, which an alert can wait for."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    def collect(self) -> Iterator[Family]:
        try:
            gauges = figures.read(self._redis, self._settings)
            counted, measured = counters.read(self._redis), metric_counts.read(self._redis)
        except RedisError as error:
            logger.warning("metrics.unavailable error=%s", type(error).__name__)
            yield from _gauges([Figure(catalog.REDIS_UP, 0)])
            return
        yield from _gauges([Figure(catalog.REDIS_UP, 1), *gauges])
        yield from _counters(counted, measured)
        yield from _histograms(measured)

    def describe(self) -> Iterable[Family]:
        """Nothing: to register it needs no Redis."""
        return ()


def registry(redis: Redis, settings: Settings) -> CollectorRegistry:
    """A registry with all metrics of hitl-receiver, and no others."""
    made = CollectorRegistry()
    made.register(InboxCollector(redis, settings))
    return made


def _gauges(read: Iterable[Figure]) -> Iterator[Family]:
    families: dict[str, GaugeMetricFamily] = {}
    for metric, value, labels in read:
        if metric.name not in families:
            families[metric.name] = GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)
        families[metric.name].add_metric(labels, float(value))
    return iter(families.values())


def _counters(counted: Mapping[str, int], measured: Mapping[str, int]) -> Iterator[Family]:
    values: dict[str, dict[tuple[str, ...], int]] = {metric.name: {} for metric in METRICS if metric.kind == "counter"}
    for metric in _COUNTERS.values():
        values[metric.name][()] = 0
    for name, count in counted.items():
        if name in _COUNTERS:
            values[_COUNTERS[name].name][()] = count
        elif name not in _NOT_SHOWN:
            values[catalog.DELIVERIES.name][name,] = count
    for field, count in measured.items():
        name, *labels = field.split(SEPARATOR)
        if name in values and len(labels) == len(_BY_NAME[name].labels):
            values[name][tuple(labels)] = count
    for name, by_labels in values.items():
        metric = _BY_NAME[name]
        family = CounterMetricFamily(name, metric.text, labels=metric.labels)
        for labels_of_value, count in sorted(by_labels.items()):
            family.add_metric(labels_of_value, count)
        yield family


def _histograms(measured: Mapping[str, int]) -> Iterator[Family]:
    parts: dict[str, dict[tuple[str, ...], dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for field, count in measured.items():
        name, *rest = field.split(SEPARATOR)
        metric = _BY_NAME.get(name)
        if metric is not None and metric.kind == "histogram" and len(rest) == len(metric.labels) + 1:
            parts[name][tuple(rest[:-1])][rest[-1]] = count
    for metric in METRICS:
        if metric.kind != "histogram":
            continue
        family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        if not metric.labels:
            parts[metric.name][()]
        for labels_of_value, by_part in sorted(parts[metric.name].items()):
            family.add_metric(labels_of_value, _buckets(metric, by_part), by_part.get("sum", 0) / SUM_SCALE)
        yield family


def _buckets(metric: Metric, by_part: Mapping[str, int]) -> list[tuple[str, float]]:
    """Prometheus counts in each bucket what is in the smaller ones too."""
    bounds = [*map(str, metric.buckets), "+Inf"]
    return list(zip(bounds, map(float, accumulate(by_part.get(bound, 0) for bound in bounds)), strict=True))
