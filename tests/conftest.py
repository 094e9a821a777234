"""A real server for every test that needs one."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from xdist.scheduler import LoadScopeScheduling

from service.local.embedded_server import EmbeddedServer
from tests.python_path import PLAIN_INSTALL
from workers.redis_clients import command_client, drain_client

#: The documented payloads lie beside the repository of the developers; each of them is a case of a test.
VENDOR_PAYLOADS = Path(__file__).parents[2] / "shared" / "hitl-api" / "payloads"
#: Modules whose tests share nothing: each test is handed out by itself.
SEPARATE = {
    "test_budget_adversaries.py",
    "test_dev_folder.py",
    "test_hostile_jobs.py",
    "test_without_extras.py",
    "test_your_project.py",
}
#: What takes longest begins first, so that no worker is left alone with it at the end.
LONGEST = [
    "test_changed_keys.py",
    "test_months.py",
    "test_clock_steps.py",
    "test_budget_adversaries.py",
    "test_incidents.py",
    "test_reconcile.py",
    "test_poison.py",
    "test_effect_faults.py",
    "test_reconcile_queue.py",
    "test_reconcile_faults.py",
    "test_full.py",
    "test_handover.py",
    "test_outage.py",
    "test_dev.py",
    "test_blocked_webhooks.py",
    "test_kill.py",
]


def pytest_configure(config: pytest.Config) -> None:
    """Make every process start sooner, and hear Ctrl-C."""
    # Modules and tests stay: there is no garbage to look for until all are collected.
    gc.disable()
    # With a whole bundle of certificates, making an HTTP client takes 50 ms. No test leaves this machine.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("certificate.pem"))
    # pytest-xdist's own workers are no processes of ours.
    if not config.getoption("numprocesses", None):
        os.environ["PYTHONPATH"] = str(PLAIN_INSTALL)
    # A shell that starts the tests in the background ignores Ctrl-C for them, and so for all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the modules by how long they take, without tests of the vendor's payloads where there are none."""
    if not VENDOR_PAYLOADS.is_dir():
        without = [item for item in items if _has_no_cases(item)]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
    items.sort(key=lambda item: _rank(item.path))


def _has_no_cases(item: pytest.Item) -> bool:
    return any("empty parameter set" in str(mark.kwargs.get("reason")) for mark in item.iter_markers("skip"))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take the modules and the tests, which stay, out of every later collection of garbage."""
    gc.freeze()
    gc.enable()


def _rank(path: Path) -> tuple[int, bool]:
    rank = LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST)
    return rank, "processes" not in path.parts


class ModuleScheduling(LoadScopeScheduling):
    """Hands modules to the workers of pytest-xdist, in the order in which they were collected."""

    # Not by the mark `xdist_group`, which pytest 9.2 makes void: https://github.com/pytest-dev/pytest-xdist/issues/1386
    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if Path(module).name in SEPARATE else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModuleScheduling:
    config.option.loadscopereorder = False
    return ModuleScheduling(config, log)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder: Path = tmp_path_factory.mktemp("server")
    # No test of this server depends on what a disk keeps.
    with EmbeddedServer(folder, fsync="everysec") as running:
        yield running


@pytest.fixture(scope="session")
def shared_own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("own") / "server") as running:
        yield running


@pytest.fixture
def own_server(shared_own_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """Another empty server, as `dev` starts it, which a test may stop and reconfigure.

    It ends with the thread that starts it: a test starts it in the main thread.
    """
    with command_client(shared_own_server.url) as redis:
        redis.flushall()
        before = redis.config_get()
    yield shared_own_server
    if shared_own_server.poll() is not None:
        shared_own_server.start()
    with command_client(shared_own_server.url) as redis:
        redis.replicaof("NO", "ONE")
        for setting, value in redis.config_get().items():
            if before[setting] != value:
                redis.config_set(setting, before[setting])
        for user in set(redis.acl_users()) - {"default"}:
            redis.acl_deluser(user)


@pytest.fixture
def redis(server: EmbeddedServer) -> Iterator[Redis]:
    """An empty server."""
    client = command_client(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
async def async_redis(redis: Redis, server: EmbeddedServer) -> AsyncIterator[AsyncRedis]:
    client = drain_client(server.url)
    yield client
    await client.aclose()
