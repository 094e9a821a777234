"""The checks of the Redis server."""

from collections.abc import Iterator

from redis import Redis
from redis.exceptions import RedisError

from service.cli.durations import duration
from service.doctor.findings import Finding, error, ok, warning
from service.web.ingest import CALLBACK_MEMORY_LIMIT, MEMORY_LIMIT
from workers.redis_checks import (
    CLUSTER_PROBLEM,
    ServerState,
    address,
    clock_skew,
    is_cluster,
    read_state,
    warnings,
    write_refusal,
)

#: Seconds by which two clocks may differ.
MAX_SKEW = 2.0
_CHECKS = {"redis.too_old": "redis.version", "redis.evicts": "redis.eviction", "redis.not_durable": "redis.durability"}


def redis_findings(redis: Redis, url: str) -> Iterator[Finding]:
    """Check the server; the only finding is an error if it does not answer."""
    try:
        state, skew = read_state(redis), clock_skew(redis)
    except RedisError as failure:
        yield error(
            "redis.reachable",
            f"The server at {address(url)} does not answer ({type(failure).__name__}: {str(failure).rstrip('.')}).",
            "See that it runs, that REDIS_URL is right, and that a firewall lets this machine through.",
        )
        return
    yield ok("redis.reachable", f"{address(url)} answers.")
    yield from server_findings(state)
    yield from memory_findings(state)
    yield clock_finding(skew)


def server_findings(state: ServerState) -> Iterator[Finding]:
    """Check the settings that programs also check at their start, and that it is no replica."""
    found = {_CHECKS[one.event.partition(" ")[0]]: one for one in warnings(state.info, state.config)}
    for check, good in _good(state).items():
        if (problem := found.get(check)) is not None:
            make = error if check == "redis.version" else warning
            setting = problem.event.partition(" ")[2]
            yield make(check, f"{_capital(problem.problem)} ({setting}).", f"{_capital(problem.remedy)}.")
        elif good is None:
            yield ok(check, "Unknown: the server does not tell.")
        else:
            yield ok(check, good)
    if is_cluster(state):
        yield error("redis.mode", f"{CLUSTER_PROBLEM}.", "Name another server in REDIS_URL.")
    elif state.info.get("role") in ("slave", "replica"):
        yield error(
            "redis.mode",
            "The server is a replica: it takes no writes, so that no delivery can be stored.",
            "Name the primary in REDIS_URL, or an address that always leads to it.",
        )
    else:
        yield ok("redis.mode", "The server is a primary without cluster mode.")
    if (refusal := write_refusal(state.info, state.config)) is None:
        yield ok("redis.writes", "The server takes writes.")
    else:
        yield error(
            "redis.writes",
            f"The server refuses writes, because {refusal}.",
            "See its log: the disk may be full or not writable, or replicas may be away.",
        )


def memory_findings(state: ServerState) -> Iterator[Finding]:
    """Check the free memory."""
    if "used_memory" not in state.info:
        yield ok("redis.memory", "Unknown: the server does not tell.")
        return
    used, limit = int(state.info["used_memory"]), int(state.info.get("maxmemory", 0))
    if not limit:
        yield ok("redis.memory", f"{_mebibytes(used)} are used; maxmemory is not set.")
        return
    share = f"{_mebibytes(used)} of {_mebibytes(limit)} are used ({used / limit:.0%})."
    fix = "Raise maxmemory, or lower HITL_RETENTION_DAYS; `hitl-receiver status` shows how much is stored."
    if used > MEMORY_LIMIT * limit:
        yield error("redis.memory", f"{share} Every delivery is answered 503.", fix)
    elif used > CALLBACK_MEMORY_LIMIT * limit:
        yield warning("redis.memory", f"{share} Deliveries to callback URLs are answered 503.", fix)
    else:
        yield ok("redis.memory", share)


def clock_finding(skew: float) -> Finding:
    """Check the clock. `skew`: seconds by which the server's clock is ahead."""
    if abs(skew) <= MAX_SKEW:
        return ok("redis.clock", f"The clocks of the server and of this machine agree within {MAX_SKEW:.0f} seconds.")
    side = "ahead of" if skew > 0 else "behind"
    return warning(
        "redis.clock",
        f"The server's clock is {duration(abs(skew))} {side} that of this machine.",
        "See that NTP runs on both; `timedatectl status` shows it.",
    )


def _good(state: ServerState) -> dict[str, str | None]:
    """For each check, the sentence if it succeeds; None if the setting cannot be read."""
    version, fsync = _version(state), state.config.get("appendfsync")
    return {
        "redis.version": version and f"{version}.",
        "redis.durability": None
        if "aof_enabled" not in state.info
        else f"appendonly yes, appendfsync {fsync or 'unknown'}.",
        "redis.eviction": None if not (state.config or state.info) else "maxmemory-policy noeviction.",
    }


def _version(state: ServerState) -> str | None:
    if "valkey_version" in state.info:
        return f"Valkey {state.info['valkey_version']}"
    return f"Redis {state.info['redis_version']}" if "redis_version" in state.info else None


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
