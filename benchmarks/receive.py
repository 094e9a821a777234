"""Receiving: accepted deliveries per second and p99 with 64 connections, ours and the naive receiver in turns.

Every acknowledged delivery is on disk (`appendfsync always`) on both sides.
"""

from statistics import median

import uvloop
from redis import Redis

from benchmarks import load
from benchmarks.rig import deliveries, rig

ROUNDS = 4
SECONDS = 4.0
CONNECTIONS = 64


def main() -> None:
    with rig() as running:
        ports = {"ours": running.start_ours(), "naive": running.start_naive()}
        redis = Redis.from_url(running.server.url)
        runs: dict[str, list[load.Outcome]] = {"ours": [], "naive": []}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                redis.flushall()
                runs[name].append(_measure(port, 60_000 if name == "ours" else 12_000))
        redis.close()
    for name, outcomes in runs.items():
        rate = median(outcome.rate for outcome in outcomes)
        p50, p99 = (median(outcome.percentile(p) for outcome in outcomes) for p in (50, 99))
        print(f"receive   {name:<6} {rate:>8,.0f} accepted/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    ratios = [ours.rate / naive.rate for ours, naive in zip(runs["ours"], runs["naive"], strict=True)]
    listed = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    print(
        f"receive   ours / naive: {median(ratios):.1f}x   (rounds: {listed}; {CONNECTIONS} connections, fsync always)"
    )


def _measure(port: int, count: int) -> load.Outcome:
    requests = deliveries(count)
    outcome = uvloop.run(load.run(port, requests, connections=CONNECTIONS, seconds=SECONDS))
    if outcome.accepted != sum(outcome.statuses.values()):
        raise RuntimeError(f"not every delivery was accepted: {outcome.statuses}")
    return outcome


if __name__ == "__main__":
    main()
