"""What metrics, logs and traces cost: CPU time for each event, with and without, in turns.

The same processes do without, then with them, many times: on a machine that does other work too, the rate of one round
differs from the next by more than what is measured here. ``python -m benchmarks.observability ROUNDS``.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median, quantiles

import uvloop

from benchmarks import load
from benchmarks.observed import MODES
from benchmarks.rig import Rig, deliveries, rig, wait_until_served
from service.local.stack import free_port

ROUNDS = 40
#: Deliveries of one round.
COUNT = 300
CONNECTIONS = 64
#: Seconds after a round, in which the last reports are stored.
SETTLING = 0.1
_PROGRAM = [sys.executable, "-P", str(Path(__file__).with_name("observed.py"))]


class Observed:
    """Our web process and a worker, whose metrics, logs and traces can be turned on and off."""

    def __init__(self, running: Rig, folder: Path, collector: str) -> None:
        self._observer = running.observer
        self._mode = folder / "mode"
        self._port = free_port()
        running.more_environ = {
            "BENCH_MODE": str(self._mode),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        }
        log = folder / "log"
        running.start(*_PROGRAM, "serve", "--port", str(self._port), log=log)
        self._web = running.last_pid
        wait_until_served(self._port, "/health/ready")
        running.start(*_PROGRAM, "work", log=log)
        self._worker = running.last_pid
        self._server = running.server.pid
        self._post(1)  # the work-horse is there once it has handled something

    def round(self, mode: str, count: int = COUNT) -> tuple[float, float]:
        """CPU seconds for each event: of the web process, and of web process, worker and Redis."""
        self._set_mode(mode)
        before = self._cpu_seconds()
        self._post(count)
        self._set_mode(mode)  # each round pays for its own spans: they are sent now
        web, everything = (after - earlier for after, earlier in zip(self._cpu_seconds(), before, strict=True))
        return web / count, everything / count

    def _post(self, count: int) -> None:
        requests = deliveries(count)
        uvloop.run(load.run(self._port, requests, connections=min(count, CONNECTIONS), seconds=60))
        self._observer.wait_for(count, 60)
        time.sleep(SETTLING)
        self._observer.forget()

    def _set_mode(self, mode: str) -> None:
        """Set it in all processes; the worker itself only waits for its work-horse."""
        self._mode.write_text(mode)
        pids = [self._web, *_family(self._worker)]
        for pid in pids:
            self._mode.with_name(f"mode.{pid}").unlink(missing_ok=True)
            os.kill(pid, signal.SIGUSR2)
        deadline = time.monotonic() + 10.0
        while not all(self._mode.with_name(f"mode.{pid}").exists() for pid in pids):
            assert time.monotonic() < deadline, f"mode {mode} was not set"
            time.sleep(0.005)

    def _cpu_seconds(self) -> tuple[float, float]:
        web = _cpu_seconds(self._web)
        return web, web + sum(map(_cpu_seconds, (*_family(self._worker), self._server)))


def main(rounds: int = ROUNDS) -> None:
    with (
        rig() as running,
        tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder,
        collecting() as collector,
    ):
        observed = Observed(running, Path(folder), collector)
        for _ in range(3):
            before = observed.round("bare")
        ratios: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES if mode != "bare"}
        bare = [before]
        for _ in range(rounds):
            for mode in ratios:
                cost, after = observed.round(mode), observed.round("bare")
                ratios[mode].append((_ratio(cost[0], before[0], after[0]), _ratio(cost[1], before[1], after[1])))
                bare.append(after)
                before = after
    for stage, name in enumerate(("receive", "end to end")):
        used = median(cost[stage] for cost in bare)
        print(f"observe   {name:<10} {used * 1e6:6.1f} us CPU an event   {MODES['bare']}")
        for mode, of_mode in ratios.items():
            low, middle, high = quantiles((ratio[stage] for ratio in of_mode), n=4)
            spread = f"half of the rounds: {low:+.1%} to {high:+.1%}"
            print(f"observe   {name:<10} {middle:+6.1%} ({spread})   {MODES[mode]}")


def _ratio(cost: float, before: float, after: float) -> float:
    """What it costs more than the mean of the rounds just before and after it."""
    return 2 * cost / (before + after) - 1


@contextmanager
def collecting() -> Iterator[str]:
    """The address of a collector that takes spans and forgets them."""
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), _Exchange)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _cpu_seconds(pid: int) -> float:
    """Of all threads of a process, by the scheduler's own count in nanoseconds."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
