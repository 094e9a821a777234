"""The shipped rules, in a real Prometheus that scrapes a real process."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program
from tests.service.conftest import Receiver
from workers.telemetry.metric_catalog import METRICS

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus-alerts.yml"
#: These need an API key.
NOT_SHOWN = {
    "hitl_api_calls_left", "hitl_api_call_limit", "hitl_check_interval_seconds", "hitl_last_reconcile_age_seconds",
}  # fmt: skip


def program(name: str) -> str:
    """Where Debian's package prometheus has put it. Skips the test without it, but not in CI."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed: install Debian's package prometheus"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


class Prometheus:
    """A server with the shipped rules, which scrapes one target each second."""

    def __init__(self, folder: Path, target: int) -> None:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "hitl-receiver", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10.0)
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'series'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> Any:
        """The data of an answer; None while it starts."""
        try:
            reply = self._client.get(path)
        except httpx.TransportError:
            assert self._process.poll() is None, self._log.read_text()
            return None
        return reply.json()["data"] if reply.status_code == 200 else None

    def names(self) -> set[str]:
        return set(self.get("/label/__name__/values") or ())

    def alerts(self) -> set[str]:
        """Those that are pending or fire."""
        found = self.get("/alerts")
        return {alert["labels"]["alertname"] for alert in found["alerts"]} if found else set()

    def rules(self) -> list[dict[str, Any]]:
        found = self.get("/rules")
        return [rule for group in found["groups"] for rule in group["rules"]] if found else []

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20.0)
        self._client.close()


@pytest.fixture
def prometheus(port: int, tmp_path: Path) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path, port)
    yield running
    running.stop()


@pytest.mark.parametrize(("command", "file"), [("rules", RULES), ("config", DEPLOY / "prometheus.yml")])
def test_promtool_accepts_what_is_shipped(command: str, file: Path) -> None:
    told = subprocess.run([program("promtool"), "check", command, file], capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "SUCCESS" in told.stdout


def test_incidents_raise_the_alerts_that_name_them_and_no_others(tmp_path: Path) -> None:
    for file in (RULES, Path(__file__).with_name("alert_incidents.yml")):
        shutil.copy(file, tmp_path)

    told = subprocess.run(
        [program("promtool"), "test", "rules", "alert_incidents.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_accepts_the_exposition(port: int) -> None:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text

    told = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_prometheus_scrapes_every_metric_and_evaluates_every_rule(
    receiver: Receiver, environ: dict[str, str], prometheus: Prometheus, tmp_path: Path
) -> None:
    with Program("work", cwd=tmp_path, environ=environ):
        receiver.call_back(payload())
        expected = {
            name
            for metric in METRICS
            for name in ([f"{metric.name}_bucket", f"{metric.name}_sum"] if metric.buckets else [metric.name])
        }
        proc.until(lambda: expected - NOT_SHOWN <= prometheus.names(), 30.0, "all is scraped")
        proc.until(lambda: "HitlDeadLetters" in prometheus.alerts(), 20.0, "a dead letter raises an alert")
        proc.until(lambda: {rule["health"] for rule in prometheus.rules()} == {"ok"}, 20.0, "every rule was evaluated")
        quiet = {"HitlRedisUnreachable", "HitlMetricsMissing", "HitlNoWebProcess", "HitlIntakeUnavailable"}
        assert not quiet & prometheus.alerts()
        assert len(prometheus.rules()) > 15
