"""Metrics as Prometheus reads them from running processes."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, payload
from tests.metrics_page import PAGE, metrics_table
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, run
from tests.service.conftest import Receiver
from tests.service.metrics.conftest import TOKEN
from tests.service.metrics.scraping import answers, samples, scrape
from workers.alarms.rules.all_rules import BY_NAME
from workers.inbox import keys
from workers.inbox.store import Inbox
from workers.redis_clients import drain_client
from workers.telemetry.metric_catalog import METRICS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_every_stage_of_a_decision_is_counted_once_whichever_process_did_it(
    receiver: Receiver, environ: dict[str, str], port: int, tmp_path: Path
) -> None:
    with Program("work", cwd=tmp_path, environ=environ):
        for number in range(3):
            receiver.call_back(payload(request_id=f"r{number}"))
        receiver.call_back(payload(request_id="r0"))
        receiver.post(b"{}", headers={"X-HITL-Signature": "wrong"})
        proc.until(lambda: scrape(port).get('hitl_handler_seconds_count{handler="wait"}') == 3, 20.0, "all was counted")
        found = scrape(port)
        with_token = receiver.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert found['hitl_deliveries_total{reason="accepted"}'] == 3
    assert found['hitl_deliveries_total{reason="duplicate"}'] == 1
    assert found['hitl_deliveries_total{reason="signature_malformed"}'] == 1
    assert found["hitl_accept_seconds_count"] == 4
    assert found["hitl_handler_wait_seconds_count"] == 9
    assert found["hitl_settle_seconds_count"] == 9
    for handler, outcome in (("pay_out", "done"), ("fail", "failed"), ("wait", "retry")):
        assert found[f'hitl_effects_total{{handler="{handler}",outcome="{outcome}"}}'] == 3
        assert found[f'hitl_handler_seconds_bucket{{handler="{handler}",le="+Inf"}}'] == 3
        assert 0 < found[f'hitl_handler_seconds_sum{{handler="{handler}"}}'] < 20
    assert (found["hitl_dead_letters"], found["hitl_events"], found["hitl_drains"]) == (3, 3, 1)
    assert (found["hitl_due_items"], found["hitl_scheduled_items"], found["hitl_leases"]) == (0, 3, 0)
    assert found["hitl_web_beats_total"] > 0
    shown = samples(with_token.text)
    assert {name: shown[name] for name in found if "effects_total" in name} == {
        name: value for name, value in found.items() if "effects_total" in name
    }


async def keep(url: str) -> None:
    redis = drain_client(url)
    await Inbox(redis, retention=3_600).accept([delivery(payload())])
    await redis.aclose()


def test_due_work_without_a_drain_shows_its_age(server: EmbeddedServer, port: int) -> None:
    asyncio.run(keep(server.url))

    proc.until(lambda: scrape(port)["hitl_oldest_due_seconds"] > 1.0, 10.0, "it gets older")
    found = scrape(port)
    assert (found["hitl_due_items"], found["hitl_drains"]) == (1, 0)
    assert found["hitl_oldest_due_seconds"] < 20


def test_while_redis_is_away_the_metrics_say_so(tmp_path: Path) -> None:
    own = EmbeddedServer(tmp_path / "data")
    own.start()
    port = free_port()
    environ = {"REDIS_URL": own.url, "HITL_METRICS_PORT": str(port)}
    with Program("clock", cwd=tmp_path, environ=environ) as clock:
        proc.until(lambda: answers(port), 20.0, clock.output)
        before = scrape(port)["hitl_redis_up"]
        own.stop()

        assert before == 1
        assert scrape(port) == {"hitl_redis_up": 0}


def test_hostile_text_in_redis_breaks_no_line(redis: Redis, port: int) -> None:
    name = 'pay"\n\x1b[31mout\\|done|more'
    redis.hset(keys.METRICS, mapping={f"hitl_effects_total|{name}": 1, 'hitl_effects_total|a"\n|done': 2, "x": 3})
    redis.hset(keys.COUNTERS, 'r"\nhitl_forged 1', 5)

    found = scrape(port)

    assert "hitl_forged" not in found
    assert found['hitl_effects_total{handler="a"\n",outcome="done"}'] == 2
    assert found['hitl_deliveries_total{reason="r"\nhitl_forged 1"}'] == 5


@pytest.mark.parametrize("given", [None, "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", "Bearer ÿ"])
def test_without_the_token_nothing_is_shown(receiver: Receiver, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}

    reply = receiver.client.get("/metrics", headers=headers)

    assert (reply.status_code, reply.content) == (401, b"")


def test_a_taken_port_is_named(environ: dict[str, str], port: int, tmp_path: Path) -> None:
    result = run("clock", cwd=tmp_path, environ=environ)

    assert result.returncode == 2
    assert f"127.0.0.1:{port} (Address already in use)" in result.stderr
    assert "HITL_METRICS_PORT" in result.stderr


def test_the_metrics_page_is_made_of_the_catalog() -> None:
    assert metrics_table() in PAGE.read_text(), "run `make format`"


def names_in(text: str) -> set[str]:
    """The metrics that a file names, without the suffixes of a histogram."""
    suffix = re.compile(r"_(bucket|sum|count)$")
    histograms = {metric.name for metric in METRICS if metric.kind == "histogram"}
    names = re.findall(r"\bhitl_\w+", text)
    return {suffix.sub("", name) if suffix.sub("", name) in histograms else name for name in names}


def expressions(file: str) -> str:
    """Of a dashboard or of rules: where metrics are named."""
    text = (ROOT / "deploy" / file).read_text()
    if file.endswith(".json"):
        return "\n".join(target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"])
    return text


def test_every_alarm_that_the_alert_rules_leave_out_exists() -> None:
    left_out = "|".join(re.findall(r'alarm!~"([^"]+)"', expressions("prometheus-alerts.yml"))).split("|")

    assert len(left_out) > 10
    assert set(left_out) <= set(BY_NAME)


@pytest.mark.parametrize(("file", "least"), [("grafana-dashboard.json", 20), ("prometheus-alerts.yml", 15)])
def test_every_metric_that_a_shipped_file_names_exists(file: str, least: int) -> None:
    names = names_in(expressions(file))

    assert len(names) >= least
    assert names <= {metric.name for metric in METRICS}
