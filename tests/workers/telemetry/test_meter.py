"""Counts of a process are taken once, and given back if Redis did not store them."""

from workers.telemetry.meter import Meter
from workers.telemetry.metric_catalog import ACCEPT_SECONDS, EFFECTS, HANDLER_SECONDS, METRICS


def test_counts_and_observations_are_taken_once() -> None:
    meter = Meter()
    meter.count(EFFECTS, "pay", "done")
    meter.count(EFFECTS, "pay", "done", times=2)
    for seconds in (0.001, 0.0011, 99.0, -5.0):
        meter.histogram(ACCEPT_SECONDS).observe(seconds)

    assert meter.take() == {
        "hitl_effects_total|pay|done": 3,
        "hitl_accept_seconds|0.001": 2,
        "hitl_accept_seconds|0.0025": 1,
        "hitl_accept_seconds|+Inf": 1,
        "hitl_accept_seconds|sum": 99_002_100,
    }
    assert meter.take() == {}


def test_returned_counts_are_part_of_the_next_take() -> None:
    meter = Meter()
    meter.histogram(HANDLER_SECONDS, "pay").observe(0.2)
    taken = meter.take()
    meter.give_back(taken)
    meter.histogram(HANDLER_SECONDS, "pay").observe(0.2)

    assert meter.take() == {name: 2 * count for name, count in taken.items()}


def test_names_are_those_that_prometheus_recommends() -> None:
    names = [metric.name for metric in METRICS]

    assert len(set(names)) == len(names) > 30
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert not metric.text.endswith(".")
