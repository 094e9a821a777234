"""Children are kept running, and stopped one after another."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.local import supervisor as supervisor_module
from service.local.supervisor import FIRST_PAUSE, Child, ProgramFailed, Supervisor, command
from tests.service.conftest import wait_until
from tests.service.local.test_embedded_server import is_running

pytestmark = pytest.mark.slow

#: Says its pid, and on SIGTERM its name, before it ends.
POLITE = """
import os, signal, sys, time
def end(*_):
    with open(sys.argv[2], "a") as ends: ends.write(sys.argv[1] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("pid", os.getpid(), flush=True)
time.sleep(60)
"""
STUBBORN = (
    "import os, signal, time; signal.signal(15, signal.SIG_IGN); print('pid', os.getpid(), flush=True); time.sleep(60)"
)


class ChildOutput:
    """The lines that the children printed, with their names."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[1]) for output, line in self.lines if output == name and line.startswith("pid ")]


def child(name: str, program: str, *words: str, grace: float = 5.0, **environ: str) -> Child:
    return Child(name=name, argv=[sys.executable, "-c", program, *words], environ=environ, grace=grace)


@contextmanager
def supervised(*children: Child, together: bool = False) -> Iterator[tuple[Supervisor, ChildOutput]]:
    output = ChildOutput()
    supervisor = Supervisor(children, print_line=output, together=together)
    supervisor.start()
    try:
        yield supervisor, output
    finally:
        supervisor.stop()


def test_children_are_stopped_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    names = ("web", "clock", "worker")

    with supervised(*(child(name, POLITE, name, str(ends)) for name in names)) as (supervisor, output):
        wait_until(lambda: all(output.pids(name) for name in names))
        supervisor.stop()

    assert ends.read_text().split() == list(names)


def test_children_stopped_together_do_not_wait_for_each_other(tmp_path: Path) -> None:
    first, second = child("first", STUBBORN, grace=1.0), child("second", POLITE, "second", str(tmp_path / "ends"))

    with supervised(first, second, together=True) as (supervisor, output):
        wait_until(lambda: output.pids("first") and output.pids("second"))
        stopping = threading.Thread(target=supervisor.stop)
        stopping.start()
        wait_until(lambda: (tmp_path / "ends").exists(), seconds=0.8)
        stopping.join()

    assert (tmp_path / "ends").read_text() == "second "


def test_a_child_that_dies_is_started_again_after_a_pause() -> None:
    with supervised(child("worker", STUBBORN, grace=0.1)) as (supervisor, output):
        wait_until(lambda: output.pids("worker"))
        os.kill(output.pids("worker")[0], signal.SIGKILL)
        died = time.monotonic()

        def came_back() -> bool:
            supervisor.check()
            return len(output.pids("worker")) == 2

        wait_until(came_back)

    assert time.monotonic() - died >= FIRST_PAUSE


def test_the_pause_of_a_child_that_keeps_dying_grows() -> None:
    one = child("worker", "raise SystemExit(3)")

    with supervised(one) as (supervisor, _):
        pauses: set[float] = set()

        def has_paused_twice() -> bool:
            supervisor.check()
            pauses.add(one.pause)
            return len(pauses) == 3

        wait_until(has_paused_twice)

    assert sorted(pauses) == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


def check_until_given_up(supervisor: Supervisor) -> str:
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            supervisor.check()
        except ProgramFailed as error:
            return str(error)
        time.sleep(0.01)
    raise AssertionError("nothing was given up")


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("print('no such queue', flush=True); raise SystemExit(3)", "exit code 3"),
        ("print('no such queue', flush=True)", "exit code 0"),
        ("import os; print('no such queue', flush=True); os.abort()", "signal 6 ("),
    ],
)
def test_a_child_that_fails_at_each_start_is_given_up(
    program: str, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE", 0.01)

    with supervised(child("worker", program)) as (supervisor, _):
        told = check_until_given_up(supervisor)

    assert f"'worker' ended right after each of 4 starts, the last time with {ended}" in told
    assert told.endswith("Its last lines:\n  no such queue\nCorrect what its output says, then start again.")


def test_a_child_that_is_killed_or_has_worked_before_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE", 0.01)
    killed = child("killed", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    outage = child("outage", "print('pid 0', flush=True); raise SystemExit(1)")
    outage.has_worked = True

    with supervised(killed, outage) as (supervisor, output):

        def has_started_six_times() -> bool:
            supervisor.check()
            return len(output.pids("outage")) >= 6

        wait_until(has_started_six_times)

    assert (killed.failed_starts, outage.failed_starts) == (0, 0)


def test_a_child_that_will_not_stop_is_killed_after_its_grace() -> None:
    with supervised(child("worker", STUBBORN, grace=0.2)) as (supervisor, output):
        wait_until(lambda: output.pids("worker"))

        started = time.monotonic()
        supervisor.stop()

        assert 0.2 <= time.monotonic() - started < 3.0
        assert not is_running(output.pids("worker")[0])


def test_every_line_is_printed_whatever_its_bytes() -> None:
    program = "import sys, time; sys.stdout.buffer.write(b'caf\\xe9\\n'); print('err', file=sys.stderr); time.sleep(60)"

    with supervised(child("web", program, grace=0.1)) as (_, output):
        wait_until(lambda: len(output.lines) == 2)

    assert sorted(output.lines) == [("web", "caf\N{REPLACEMENT CHARACTER}"), ("web", "err")]


def test_a_child_has_the_environment_it_was_given_over_ours() -> None:
    program = "import os, time; print(os.environ['HITL_NAME'], 'PATH' in os.environ, flush=True); time.sleep(60)"

    with supervised(child("web", program, grace=0.1, HITL_NAME="given")) as (_, output):
        wait_until(lambda: output.lines)

    assert output.lines == [("web", "given True")]


SUPERVISOR = """
import sys
from service.local.supervisor import Child, Supervisor
supervisor = Supervisor([Child(name="c", argv=[sys.executable, "-c", *sys.argv[1:]], environ={}, grace=5.0)])
supervisor.run()
"""


def supervising(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_children_and_then_the_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    ends = tmp_path / "ends"
    with supervising(POLITE, "worker", str(ends)) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[1])

        # To the whole group, as a terminal sends Ctrl+C: the child hears of it from us alone.
        os.killpg(parent.pid, number)

        assert parent.wait(10.0) == 0
    assert ends.read_text().split() == ["worker"]
    assert not is_running(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_children_do_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with supervising(POLITE, "worker", str(tmp_path / "ends")) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[1])

        parent.kill()

    wait_until(lambda: not is_running(pid))


def test_a_command_is_this_program_again() -> None:
    output = subprocess.run(command("--version"), capture_output=True, text=True, check=True)

    assert re.search(r"version \d", output.stdout)


def test_a_child_is_replaced_while_it_finishes(tmp_path: Path) -> None:
    slow = POLITE.replace("def end(*_):\n", "def end(*_):\n    time.sleep(1.0)\n")
    with supervised(child("worker", slow, "first", str(tmp_path / "ends"))) as (supervisor, output):
        wait_until(lambda: output.pids("worker"))

        supervisor.replace("worker", settings={"VERSION": "2"})
        wait_until(lambda: len(output.pids("worker")) == 2, 5.0)
        first, second = output.pids("worker")

        assert is_running(first)
        assert b"VERSION=2" in Path(f"/proc/{second}/environ").read_bytes()
        wait_until(lambda: supervisor.check() or not is_running(first))
        assert is_running(second)
        assert supervisor.children[0].process is not None
        assert supervisor.children[0].process.pid == second


def test_a_child_that_was_replaced_and_does_not_end_is_killed() -> None:
    with supervised(child("worker", STUBBORN, grace=0.2)) as (supervisor, output):
        wait_until(lambda: output.pids("worker"))
        supervisor.replace("worker")
        wait_until(lambda: len(output.pids("worker")) == 2)

        wait_until(lambda: supervisor.check() or not is_running(output.pids("worker")[0]))


def test_a_replacement_may_wait_for_the_end_of_the_other(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    with supervised(child("web", POLITE, "first", str(ends))) as (supervisor, output):
        wait_until(lambda: output.pids("web"))
        supervisor.replace("web", overlaps=False)

        assert ends.read_text() == "first "
        wait_until(lambda: len(output.pids("web")) == 2)
        assert not is_running(output.pids("web")[0])
