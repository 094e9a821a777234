"""Alarms of the Redis server."""

from workers import redis_checks
from workers.alarms.alarm import AlarmRule, Problem
from workers.alarms.reading import AlarmReading
from workers.telemetry.quantities import duration

#: Shares of `maxmemory` at which callbacks, and then all deliveries, are answered 503.
NEARLY_FULL, FULL = 0.8, 0.9
#: Seconds since a replica's last answer, and bytes that it may be behind.
REPLICA_SECONDS = 10
REPLICA_BYTES = 16 << 20
_LONGEST_REASON = 200
READ_ONLY = "The server of REDIS_URL is a replica, which takes no writes: deliveries are answered 503."


def failed(what: str, error: Exception) -> Problem:
    """The problem of a read of Redis that failed. `what`: what Redis does."""
    reason = str(error).rstrip(".")[:_LONGEST_REASON]
    return Problem(f"Redis {what}, so nothing is accepted and nothing is handled ({type(error).__name__}: {reason}).")


def _read_only(reading: AlarmReading) -> str | None:
    return READ_ONLY if reading.figures.info.get("role") == "slave" else None


def _refuses_writes(reading: AlarmReading) -> str | None:
    reason = redis_checks.write_refusal(reading.figures.info, reading.figures.config)
    return None if reason is None else f"Redis refuses writes, because {reason}: deliveries are answered 503."


def _share(reading: AlarmReading) -> float:
    load = reading.load
    return load.memory_used / load.memory_limit if load.memory_limit else 0.0


def _full(reading: AlarmReading) -> str | None:
    share = _share(reading)
    if share <= FULL:
        return None
    return f"Redis uses {share:.0%} of its maxmemory ({_mebibytes(reading)}): no delivery is accepted."


def _nearly_full(reading: AlarmReading) -> str | None:
    share = _share(reading)
    if not NEARLY_FULL < share <= FULL:
        return None
    return f"Redis uses {share:.0%} of its maxmemory ({_mebibytes(reading)}): callbacks are answered 503."


def _mebibytes(reading: AlarmReading) -> str:
    return f"{reading.load.memory_used / 2**20:,.1f} of {reading.load.memory_limit / 2**20:,.1f} MiB"


def _from_settings(reading: AlarmReading, event: str) -> Problem | None:
    """The warning that programs log at their start, while its cause lasts."""
    for warning in redis_checks.warnings(reading.figures.info, reading.figures.config):
        if warning.event.startswith(event):
            setting = warning.event.partition(" ")[2]
            return Problem(
                f"Redis has {setting}: {warning.problem}.", f"{warning.remedy[0].upper()}{warning.remedy[1:]}."
            )
    return None


def _not_durable(reading: AlarmReading) -> Problem | None:
    return _from_settings(reading, "redis.not_durable")


def _evicts(reading: AlarmReading) -> Problem | None:
    return _from_settings(reading, "redis.evicts")


def _replica_behind(reading: AlarmReading) -> str | None:
    info = reading.figures.info
    for number in range(int(info.get("connected_slaves", 0))):
        replica = info.get(f"slave{number}")
        if not isinstance(replica, dict):
            continue
        address = f"{replica.get('ip')}:{replica.get('port')}"
        state, lag = str(replica.get("state")), int(replica.get("lag", 0))
        behind = int(info.get("master_repl_offset", 0)) - int(replica.get("offset", 0))
        if state != "online":
            return f"The replica {address} is not in step yet (state {state}): a failover to it loses decisions."
        if lag > REPLICA_SECONDS or behind > REPLICA_BYTES:
            return (
                f"The replica {address} last answered {duration(lag)} ago and lacks {behind / 2**20:,.1f} MiB: a "
                "failover to it loses decisions, and effects run again."
            )
    return None


RULES = (
    AlarmRule(
        name="redis_unreachable",
        severity="critical",
        condition="Redis does not answer",
        remedy="Start Redis, or correct REDIS_URL. HITL.sh repeats what was answered with 503, for about two days.",
        # A process that cannot read Redis calls `unreachable`.
        check=lambda _reading: None,
    ),
    AlarmRule(
        name="redis_read_only",
        severity="critical",
        condition="the server of REDIS_URL is a replica",
        remedy="Set REDIS_URL to the primary, or finish the failover (`REPLICAOF NO ONE`).",
        check=_read_only,
    ),
    AlarmRule(
        name="redis_refuses_writes",
        severity="critical",
        condition="Redis refuses writes: its disk fails, or too few replicas are in step",
        remedy="Read the log of the server. MISCONF: its disk is full, or its folder is not writable. NOREPLICAS: "
        "bring its replicas back. NOPERM: give the user of REDIS_URL all commands and the keys `{hitl}:*` and `rq:*`.",
        check=_refuses_writes,
    ),
    AlarmRule(
        name="redis_full",
        severity="critical",
        condition=f"Redis uses more than {FULL:.0%} of its maxmemory",
        remedy="Raise it (`CONFIG SET maxmemory`), or remove what others store there. HITL_RETENTION_DAYS says how "
        "long finished work stays.",
        check=_full,
    ),
    AlarmRule(
        name="redis_nearly_full",
        severity="warning",
        condition=f"Redis uses more than {NEARLY_FULL:.0%} of its maxmemory",
        remedy="Raise it (`CONFIG SET maxmemory`), or lower HITL_RETENTION_DAYS.",
        check=_nearly_full,
    ),
    AlarmRule(
        name="redis_not_durable",
        severity="warning",
        condition="Redis has `appendonly no` or `appendfsync no`",
        remedy="Run `CONFIG SET appendonly yes`, and write it into the server's configuration.",
        check=_not_durable,
    ),
    AlarmRule(
        name="redis_evicts",
        severity="warning",
        condition="Redis deletes records when it is full (`maxmemory-policy`)",
        remedy="Run `CONFIG SET maxmemory-policy noeviction`, and write it into the server's configuration.",
        check=_evicts,
    ),
    AlarmRule(
        name="replica_behind",
        severity="warning",
        condition=f"a replica of Redis is not in step, or {REPLICA_SECONDS} seconds or 16 MiB behind",
        remedy="See the replica's log, and whether network and disk keep up.",
        check=_replica_behind,
    ),
)
