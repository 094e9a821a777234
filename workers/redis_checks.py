"""Checks when a program starts whether the server of REDIS_URL can keep what is acknowledged.

A managed server may forbid INFO or CONFIG: what cannot be read is not reported.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError  # noqa: A004 - those of redis-py

from workers.redis_clients import check_client
from workers.settings import SettingsInvalid

logger = logging.getLogger("hitl.redis")

#: The inbox's scripts declare flags (https://redis.io/docs/latest/develop/programmability/lua-api/).
OLDEST_VERSION = (7, 0)
#: The settings that `warnings` and `write_refusal` read.
CHECKED_SETTINGS = (
    "maxmemory-policy", "appendfsync", "save", "stop-writes-on-bgsave-error", "min-replicas-to-write",
)  # fmt: skip
CLUSTER_PROBLEM = (
    "REDIS_URL names a server in cluster mode, which RQ workers do not support: "
    "name a server without cluster mode (a primary with replicas is fine)"
)


class RedisWarning(NamedTuple):
    """A setting of the server that loses deliveries."""

    #: The log event and the setting: ``redis.evicts maxmemory-policy=allkeys-lru``.
    event: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """The line of the log."""
        return f"{self.event}: {self.problem}: {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The state of a server; empty where it forbids the commands."""

    info: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)


def check_redis(url: str, *, until_then: str) -> None:
    """Warn of settings that lose deliveries; raises `SettingsInvalid` for a server that cannot serve at all.

    Does not wait for a server that does not answer: each program does so in its own way, and `until_then` says how.
    """
    redis = check_client(url)
    try:
        state = read_state(redis)
    except (ConnectionError, TimeoutError) as error:
        logger.warning(
            "redis.unreachable server=%s error=%s: %s; waiting for it: %s. Is REDIS_URL right, and does the server "
            "run?",
            address(url), type(error).__name__, str(error).rstrip("."), until_then,
        )  # fmt: skip
        return
    except RedisError as error:
        logger.warning("redis.unchecked error=%s: the server's settings were not checked", type(error).__name__)
        return
    finally:
        redis.close()
    if is_cluster(state):
        raise SettingsInvalid([CLUSTER_PROBLEM])
    for warning in warnings(state.info, state.config):
        logger.warning("%s", warning)


def read_state(redis: Redis) -> ServerState:
    """Read the state; raises `RedisError` if the server does not answer."""
    return ServerState(info=_info(redis), config=_config(redis))


def is_cluster(state: ServerState) -> bool:
    return str(state.info.get("cluster_enabled")) == "1"


def clock_skew(redis: Redis) -> float:
    """Seconds by which the server's clock is ahead of this machine's, to within the time that the call takes."""
    sent = time.time()
    seconds, microseconds = redis.time()
    return seconds + microseconds / 1e6 - (sent + time.time()) / 2


def address(url: str) -> str:
    """Where the server is, without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def warnings(info: Mapping[str, Any], config: Mapping[str, str]) -> Iterator[RedisWarning]:
    """Name each setting that loses deliveries, by what INFO and CONFIG GET say; both may say nothing."""
    version = str(info.get("redis_version", ""))
    if _is_too_old(version):
        yield RedisWarning(
            f"redis.too_old version={version}",
            "the inbox's Lua scripts need Redis 7.0, so that no delivery can be kept",
            "install Redis 7.0, Valkey 7.2 or newer",
        )  # fmt: skip
    policy = config.get("maxmemory-policy") or str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        yield RedisWarning(
            f"redis.evicts maxmemory-policy={policy}",
            "when its memory is full, the server deletes records, also of deliveries that were acknowledged and not "
            "yet handled",
            _remedy("maxmemory-policy", "noeviction"),
        )  # fmt: skip
    if str(info.get("aof_enabled", "1")) == "0":
        yield RedisWarning(
            "redis.not_durable appendonly=no",
            "when the server stops, deliveries that were acknowledged since its last snapshot are lost",
            _remedy("appendonly", "yes"),
        )  # fmt: skip
    elif config.get("appendfsync", "always") not in {"always", "everysec"}:
        yield RedisWarning(
            f"redis.not_durable appendfsync={config['appendfsync']}",
            "when the server's machine fails, deliveries that were acknowledged in about the last 30 seconds are lost",
            _remedy("appendfsync", "always"),
        )  # fmt: skip


def write_refusal(info: Mapping[str, Any], config: Mapping[str, str]) -> str | None:
    """Why the server refuses every write now; None if it takes them, as far as INFO and CONFIG GET say.

    See https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ (MISCONF) and
    https://redis.io/docs/latest/operate/oss_and_stack/management/replication/ (NOREPLICAS).
    """
    if info.get("aof_last_write_status") == "err":
        return "it cannot write its append-only file"
    stops = config.get("stop-writes-on-bgsave-error") == "yes" and bool(config.get("save"))
    if stops and info.get("rdb_last_bgsave_status") == "err":
        return "its latest snapshot failed"
    wanted, in_step = int(config.get("min-replicas-to-write") or 0), info.get("min_slaves_good_slaves")
    if in_step is not None and int(in_step) < wanted:
        return f"{in_step} replicas are in step, and `min-replicas-to-write` demands {wanted}"
    return None


def _remedy(setting: str, value: str) -> str:
    return f"run `CONFIG SET {setting} {value}`, and write `{setting} {value}` into the server's configuration"


def _is_too_old(version: str) -> bool:
    try:
        return tuple(map(int, version.split(".")[:2])) < OLDEST_VERSION
    except ValueError:
        return False  # missing, or not numeric


def _info(redis: Redis) -> Mapping[str, Any]:
    try:
        return redis.info()
    except ResponseError:
        return {}


def _config(redis: Redis) -> Mapping[str, str]:
    try:
        settings = redis.config_get(*CHECKED_SETTINGS)
    except ResponseError:
        return {}
    return {str(name): str(value) for name, value in settings.items()}
