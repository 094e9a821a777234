"""From the POST to the handler: events per second, and the time from the 202 to the handler."""

import sys
import time
from statistics import median

import uvloop

from benchmarks import load
from benchmarks.rig import Rig, deliveries, rig
from service.local.supervisor import command

ROUNDS = 3
OURS, NAIVE = 12_000, 250
CONNECTIONS = 64
LATENCY_EVENTS, LATENCY_EVERY = 200, 0.05


def main() -> None:
    with rig() as running:
        ports = {"ours": running.start_ours(), "naive": running.start_naive()}
        running.start(*command("work"))
        running.start(*command("clock"))
        running.start(sys.executable, "-m", "rq.cli", "worker", "naive", "--url", running.server.url, "--quiet")
        rates: dict[str, list[float]] = {"ours": [], "naive": []}
        _warm(running, ports)
        for _ in range(ROUNDS):
            rates["ours"].append(_throughput(running, ports["ours"], OURS))
            rates["naive"].append(_throughput(running, ports["naive"], NAIVE))
        latencies = {name: _latencies(running, port) for name, port in ports.items()}
    for name, name_rates in rates.items():
        ordered = sorted(latencies[name])
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        print(
            f"end to end {name:<6} {median(name_rates):>8,.0f} events/s  "
            f"202 to handler p50 {p50:7.2f} ms  p99 {p99:7.2f} ms"
        )
    ratios = [ours / naive for ours, naive in zip(rates["ours"], rates["naive"], strict=True)]
    listed = ", ".join(f"{ratio:.0f}" for ratio in ratios)
    print(f"end to end ours / naive: {median(ratios):.0f}x   (rounds: {listed}; latency at {1 / LATENCY_EVERY:.0f}/s)")


def _warm(running: Rig, ports: dict[str, int]) -> None:
    for port in ports.values():
        uvloop.run(load.run(port, deliveries(20), connections=1, seconds=10))
    running.observer.wait_for(40, 30)
    running.observer.forget()


def _throughput(running: Rig, port: int, count: int) -> float:
    """Events per second from the first POST to the last handler."""
    requests = deliveries(count)
    start = time.time()
    uvloop.run(load.run(port, requests, connections=CONNECTIONS, seconds=60))
    last = running.observer.wait_for(count, 60)
    running.observer.forget()
    return count / (last - start)


def _latencies(running: Rig, port: int) -> list[float]:
    """Milliseconds from the answer to the handler, one delivery at a time at a steady pace."""
    answered: dict[str, float] = {}
    for wire in deliveries(LATENCY_EVENTS):
        outcome = uvloop.run(load.run(port, [wire], connections=1, seconds=5))
        answered[wire.split(b'"id":"', 1)[1][:24].decode()] = outcome.answered_at
        time.sleep(LATENCY_EVERY)
    running.observer.wait_for(LATENCY_EVENTS, 30)
    latencies = [(running.observer.seen[name] - at) * 1000 for name, at in answered.items()]
    running.observer.forget()
    return latencies


if __name__ == "__main__":
    main()
