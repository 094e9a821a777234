"""Incidents that an operator notices with `status --check`, and repairs, with the command line alone."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.json_server import JsonReceiver
from tests.processes import proc
from tests.processes.programs import run
from tests.processes.site import HANDLERS, Site, messages

pytestmark = pytest.mark.slow

WRONG_SECRET = "a-webhook-secret-of-these-tes"
BROKEN_HANDLERS = f"import a_package_that_nobody_installed\n{HANDLERS}"


@pytest.fixture(scope="module")
def told() -> Iterator[JsonReceiver]:
    """Where the people on call read their alarms."""
    with JsonReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running_site(told: JsonReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), told.url)
    site.server.start()
    site.deploy(HANDLERS)
    try:
        site.start("serve", "work", "clock")
        yield site
    finally:
        site.end()


@pytest.fixture
def site(running_site: Site) -> Site:
    """Without any alarm."""
    running_site.wait_for(0)
    return running_site


def test_a_sink_is_down(site: Site) -> None:
    assert site.post() == 202

    site.wait_for(1, "dead_letters")
    shown = run("status", "--check", cwd=site.folder, environ=site.environ)  # as a monitor starts it
    assert (shown.returncode, shown.stdout.partition(":")[0].split()) == (1, ["WARNING", "dead_letters"])
    with JsonReceiver(port=site.sink_port) as sink:
        site.command("retry", "--handler", "accounting", "--yes")
        site.wait_until_at_rest()
        site.wait_for(0)

    assert len(sink.messages) == 1


def test_a_secret_is_rotated_wrongly(site: Site) -> None:
    with JsonReceiver(port=site.sink_port):
        assert site.post() == 202
        site.stop("serve")
        site.start("serve", HITL_WEBHOOK_SECRETS=WRONG_SECRET)
        assert [site.post() for _ in range(7)] == [401] * 7

        site.wait_for(1, "deliveries_refused")
        site.stop("serve")
        site.start("serve")

        proc.until(
            lambda: site.post() == 202 and site.check()[0] == 0, 30.0, "verified deliveries clear the alarm",
            meanwhile=lambda: time.sleep(0.2),
        )  # fmt: skip
        site.wait_until_at_rest()


def test_redis_is_restarted_and_then_full(site: Site) -> None:
    site.server.stop()
    assert site.check() == (2, {"redis_unreachable"})
    site.server.start()
    site.wait_for(0)

    with Redis.from_url(site.server.url) as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 1.05))
        site.wait_for(2, "redis_full")
        proc.until(lambda: site.post() == 503, 10.0, "deliveries are answered 503")
        redis.config_set("maxmemory", 0)

    site.wait_for(0)


def test_redis_refuses_writes(site: Site) -> None:
    with Redis.from_url(site.server.url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        site.wait_for(2, "redis_refuses_writes")
        assert site.post() == 503
        redis.config_set("min-replicas-to-write", 0)

    site.wait_for(0)


def test_a_broken_handler_is_deployed(site: Site) -> None:
    site.deploy(BROKEN_HANDLERS)
    site.stop("work")
    site.start("work")
    with JsonReceiver(port=site.sink_port) as sink:
        assert site.post() == 202

        site.wait_for(2, "no_drain", seconds=30.0)
        site.deploy(HANDLERS)
        site.start("work")
        site.wait_until_at_rest()
        site.wait_for(0)

    assert len(sink.messages) == 1


def test_the_clock_process_is_dead(site: Site, told: JsonReceiver) -> None:
    told.messages.clear()
    site.stop("clock")

    site.wait_for(2, "clock_absent", seconds=30.0)

    proc.until(lambda: messages(told, "clock_absent"), 40.0, "the web process has told people")
    site.start("clock")
    site.wait_for(0)

    assert "Start `hitl-receiver clock`" in messages(told, "clock_absent")[0]["message"]
