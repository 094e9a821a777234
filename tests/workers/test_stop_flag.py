"""The flag that signal handlers set."""

import os
import signal
import subprocess
import sys
import time

import pytest

from workers.stop_flag import StopFlag

#: A program that sends SIGUSR1 to a process all the time.
SENDER = "import os, sys, time\nwhile True: os.kill(int(sys.argv[1]), 10); time.sleep(0.00005)"


def test_waiting_ends_at_the_deadline_or_when_the_flag_is_set() -> None:
    flag, started = StopFlag(), time.monotonic()

    assert not flag.wait(0.15)
    assert time.monotonic() - started >= 0.15
    flag.set()
    assert flag.wait(60.0)
    assert flag.is_set()


@pytest.mark.slow
def test_signals_set_it_wherever_they_interrupt_a_wait_or_each_other() -> None:
    flags = [StopFlag()]
    previous = signal.signal(signal.SIGUSR1, lambda *_: flags[-1].set())
    sender = subprocess.Popen([sys.executable, "-c", SENDER, str(os.getpid())])
    ends = time.monotonic() + 2.0
    try:
        while time.monotonic() < ends:
            flags.append(StopFlag())
            assert flags[-1].wait(10.0)
    finally:
        sender.kill()
        sender.wait()
        signal.signal(signal.SIGUSR1, previous)
