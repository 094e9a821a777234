"""hitl-receiver in a project with its own `workers/`, `service/`, `tests/` and `sandbox.py` (docs/your-project.md)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hitlsh.signatures import headers
from service.local.embedded_server import EmbeddedServer
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import WITHOUT_SANDBOX, Program, run
from tests.processes.stacks import KEY, SECRET, plain_environment

BIN = Path(sys.executable).parent
CONSOLE_SCRIPT = (str(BIN / "hitl-receiver"),)
TRAP = "from pathlib import Path\nPath('trapped.txt').write_text(__name__)\nraise SystemExit('not yours to run')\n"
FILES = {
    "handlers.py": """
from workers import Decision, Router
from workers.tasks import pay
from service.prices import CURRENCY
from tests.amounts import AMOUNT

router = Router()


@router.on("request.completed")
def pay_out(decision: Decision) -> None:
    from workers.paying.ledger import note  # not before it runs

    note(pay(AMOUNT, CURRENCY))
""",
    "workers/__init__.py": '"""The background jobs of this project."""\n',
    "workers/tasks.py": "def pay(amount: int, currency: str) -> str:\n    return f'{amount} {currency}'\n",
    "workers/paying/ledger.py": """
from pathlib import Path


def note(line: str) -> None:
    with Path("ledger.txt").open("a") as ledger:
        ledger.write(line + "\\n")
""",
    "service/__init__.py": "",
    "service/__main__.py": TRAP,
    "service/prices.py": "CURRENCY = 'EUR'\n",
    "sandbox.py": TRAP,
    "multiprocessing.py": TRAP,
    "uvicorn.py": TRAP,
    "tests/__init__.py": "",
    "tests/amounts.py": "AMOUNT = 7\n",
}
SETTINGS = {
    "HITL_WEBHOOK_SECRETS": SECRET,
    "HITL_CALLBACK_SECRETS": KEY,
    "HITL_HANDLERS": "handlers",
    "HITL_LOG_LEVEL": "INFO",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    write(folder, FILES)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server") as running:
        yield running


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def ledger(project: Path) -> list[str]:
    file = project / "ledger.txt"
    return file.read_text().splitlines() if file.exists() else []


def tool(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A program of the project's own, without the plugins of pytest that our own tests need."""
    environ = plain_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, timeout=90, check=False)


# -- processes that we start ---------------------------------------------------------------------------


@pytest.mark.parametrize("python_path", ["", "."])
@pytest.mark.parametrize("start", [CONSOLE_SCRIPT, (sys.executable, "-P", "-m", "hitl_receiver")])
def test_routes_are_those_of_the_project(project: Path, start: tuple[str, ...], python_path: str) -> None:
    if python_path:  # then Python itself looks here before its own library
        for name in ("multiprocessing.py", "uvicorn.py"):
            (project / name).unlink()
    environ = plain_environment() | {"HITL_HANDLERS": "handlers", "PYTHONPATH": python_path}
    environ = {name: value for name, value in environ.items() if value}

    completed = subprocess.run(
        [*start, "routes"], cwd=project, env=environ, capture_output=True, text=True, timeout=30, check=False
    )

    assert (completed.stdout.splitlines()[1:], completed.returncode) == (["pay_out  request.completed"], 0), (
        completed.stderr
    )


def test_dev_runs_its_handlers_and_nothing_else_of_it(project: Path) -> None:
    port = str(free_port())
    with Program("dev", "--port", port, "--handlers", "handlers", cwd=project, environ={}) as dev:
        proc.until(lambda: "is running" in dev.output or dev.process.poll() is not None, 20.0, "dev is up")
        sent = run("send", "callback-v2.completed", cwd=project)
        assert sent.returncode == 0, sent.stderr + dev.output

        proc.until(lambda: ledger(project), 15.0, "the handler has run")

        assert dev.stop() == 0
    assert ledger(project) == ["7 EUR"]
    assert not (project / "trapped.txt").exists()


def test_several_processes_of_each_kind_run_in_it(project: Path, server: EmbeddedServer) -> None:
    port = free_port()
    environ = SETTINGS | {"REDIS_URL": server.url}
    two = ("--processes", "2")
    with (
        Program("serve", "--port", str(port), *two, cwd=project, environ=environ, start=CONSOLE_SCRIPT) as web,
        Program("work", *two, cwd=project, environ=environ, start=CONSOLE_SCRIPT) as worker,
    ):
        proc.until(lambda: web.output.count("startup complete") == 2, 20.0, "both web processes are up")
        body = payload()
        reply = httpx.post(f"http://127.0.0.1:{port}{WEBHOOKS}", content=body, headers=headers(SECRET, body))
        assert reply.status_code == 202, web.output

        proc.until(lambda: ledger(project), 15.0, "the handler has run")

        assert (worker.stop(), web.stop()) == (0, 0), worker.output + web.output
        assert "died" not in worker.output + web.output
    assert ledger(project) == ["7 EUR"]
    assert not (project / "trapped.txt").exists()


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("routes",), ("work",), ("dev", "--handlers", "handlers")])
def test_a_submodule_that_we_have_too_is_refused(project: Path, words: tuple[str, ...]) -> None:
    write(project, {"workers/queue.py": "waiting = []\n"})

    completed = run(*words, cwd=project, environ={"HITL_HANDLERS": "handlers", "REDIS_URL": "redis://127.0.0.1:1/0"})

    assert completed.returncode == 2
    theirs, ours = project / "workers/queue.py", Path("workers/queue.py")
    assert f"workers.queue would be two files, yours and hitl-receiver's: {theirs} and " in completed.stderr
    assert f"{ours}.\nRename yours" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_a_child_that_fails_at_each_start_ends_dev_with_one_message(project: Path) -> None:
    """A mistake that only the web process meets: the program itself has loaded the handlers without one."""
    write(project, {"handlers.py": FILES["handlers.py"] + WEB_FAILS})

    environ = {"HITL_HANDLERS": "handlers"} | WITHOUT_SANDBOX
    with Program("dev", "--port", str(free_port()), cwd=project, environ=environ) as dev:
        assert dev.process.wait(30.0) == 2, dev.output

    assert dev.output.count("ended right after each of") == 1
    summary = dev.output[dev.output.index("ended right after each of 4 starts, the last time with exit code 1") :]
    assert "OSError: no such ledger" in summary
    assert summary.endswith("Correct what its output says, then start again.\n")


WEB_FAILS = """
import sys
if "serve" in sys.argv:
    raise OSError("no such ledger")
"""


# -- processes that we do not start --------------------------------------------------------------------

OWN_TOOLS = {
    "handlers.py": FILES["handlers.py"].replace("from workers import Decision", "from hitl_receiver import Decision"),
    "conftest.py": "import hitl_receiver\n",
    "mypy.ini": "[mypy]\nstrict = true\n[mypy-handlers]\ndisallow_untyped_decorators = false\n",
    "tests/test_pay_out.py": """
from handlers import pay_out
from workers.tasks import pay
from workers.testing import completed


def test_pay() -> None:
    assert pay(1, "EUR") == "1 EUR"


def test_pay_out(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pay_out(completed("Approve"))
    assert (tmp_path / "ledger.txt").read_text() == "7 EUR\\n"
""",
}


def test_its_own_tests_run_as_documented(project: Path) -> None:
    write(project, OWN_TOOLS)
    for name in ("multiprocessing.py", "uvicorn.py"):  # no Python program of the project's own could start
        (project / name).unlink()

    completed = tool(str(BIN / "pytest"), "-q", "-p", "no:cacheprovider", cwd=project)

    assert "2 passed" in completed.stdout, completed.stdout + completed.stderr


def test_its_own_type_checker_runs_as_documented(project: Path) -> None:
    write(project, OWN_TOOLS)

    completed = tool(str(BIN / "mypy"), "handlers.py", cwd=project)

    assert completed.stdout.startswith("Success"), completed.stdout + completed.stderr


def test_a_script_that_has_imported_its_own_package_first_is_told_what_to_do(project: Path) -> None:
    (project / "multiprocessing.py").unlink()

    completed = tool(sys.executable, "-c", "import workers.tasks, hitl_receiver", cwd=project)

    assert (
        f"ImportError: {project / 'workers/__init__.py'} was imported as 'workers' before hitl_receiver"
        in completed.stderr
    )
