"""The processes that wait most of the time import little: their start is quick, and their memory small."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from service.start_checks import IS_CHECKED
from tests.service.conftest import ENVIRON

#: What the command would do for good, in place of which we look at what it imported.
SERVE = "import uvicorn\nfrom service.web import app\nuvicorn.run = lambda *_, **__: app.from_environment()"
CLOCK = "from workers.clock import Clock\nClock.run = lambda self: None"
LOOK = """
import sys
from service.cli.main import cli
cli([{command!r}], standalone_mode=False)
print(*sys.modules)
"""
OURS = {"hitl_receiver", "hitlsh", "workers", "service", "hitl_sandbox"}


def imported(command: str, prepare: str, **environ: str) -> set[str]:
    """The modules that a command has imported by the time that it runs."""
    settings: Mapping[str, str] = ENVIRON | IS_CHECKED | {"REDIS_URL": "redis://127.0.0.1:1/0"} | environ
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HITL_")}
    run = subprocess.run(
        [sys.executable, "-c", prepare + LOOK.format(command=command)],
        env={**inherited, **settings}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize(("command", "prepare", "most"), [("serve", SERVE, 62), ("clock", CLOCK, 49)])
def test_a_waiting_process_imports_few_modules_even_with_an_api_key(command: str, prepare: str, most: int) -> None:
    modules = imported(command, prepare, HITL_API_KEY="a_key_for_tests_only")

    assert len([name for name in modules if name.split(".")[0] in OURS]) <= most
    assert not {"httpx", "hitlsh.api", "workers.reconcile", "workers.routing", "workers.handlers"} & modules


@pytest.mark.slow
def test_serve_imports_the_routes_of_configured_handlers_and_no_api_client() -> None:
    modules = imported("serve", SERVE, HITL_HANDLERS="examples.handlers")

    assert "workers.routing.router" in modules
    assert "hitlsh.api" not in modules


def test_enqueueing_imports_the_counters_alone() -> None:
    code = "import sys, workers.queue; print(*sys.modules)"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)

    ours = {name for name in run.stdout.split() if name.split(".")[0] in OURS}
    inbox = {"workers.inbox", "workers.inbox.counters", "workers.inbox.keys"}
    assert ours == {"workers", "workers.errors", *inbox, "workers.queue"}
