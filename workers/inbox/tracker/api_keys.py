"""The API keys that have been used: which of them are polled, and where the indexes of each are kept.

Redis holds the hash of a key, never the key itself.
"""

import hashlib
from collections.abc import Sequence
from typing import cast

import msgspec
from redis import Redis

from workers.errors import WorkersError
from workers.inbox import keys, scripts

#: Member of `checks` that schedules discovery.
DISCOVERY = "*"


class ClockStandsStill(WorkersError):
    """An API key cannot be registered yet, because the time of its first use is unknown: try again in a second."""

    def __init__(self) -> None:
        super().__init__("The inbox clock stands still, so the first use of an API key is recorded at its next tick")


def api_key_hash(api_key: str) -> str:
    """The hash that identifies an API key in Redis."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


class KeyIndexes(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the indexes and the state of one API key; without a suffix for the first that was used."""

    key_hash: str = ""
    suffix: str = ""

    @property
    def asked(self) -> str:
        """Key of the index of all requests by creation."""
        return keys.ASKED + self.suffix

    @property
    def unverified(self) -> str:
        """Key of the index of requests that only callback deliveries name."""
        return keys.UNVERIFIED + self.suffix

    @property
    def checks(self) -> str:
        """Key of the index of requests by their next check."""
        return keys.CHECKS + self.suffix

    @property
    def state(self) -> str:
        """Key of the state of reconcile runs."""
        return keys.RECONCILE_STATE + self.suffix


class ApiKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every API key that has been used, as hashes."""

    first: str = ""
    #: Hashes of the polled keys, oldest first; the last is current. Empty if no process has configured any.
    configured: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()

    def indexes(self, key_hash: str) -> KeyIndexes:
        """The indexes of the key with this hash; '' for the first."""
        return KeyIndexes(key_hash=key_hash, suffix="" if key_hash in {"", self.first or key_hash} else f":{key_hash}")

    @property
    def current(self) -> KeyIndexes:
        """The indexes of the current key."""
        return self.indexes(self.configured[-1] if self.configured else self.first)

    @property
    def polled(self) -> list[KeyIndexes]:
        """The indexes of the polled keys; of every used key if none is configured."""
        names = self.configured or tuple(sorted(self.used)) or ("",)
        return [self.indexes(name) for name in names]

    @property
    def retired(self) -> list[KeyIndexes]:
        """The indexes of used keys that are no longer polled."""
        polled = {indexes.key_hash for indexes in self.polled}
        return [self.indexes(name) for name in sorted(self.used) if name not in polled]


def read(redis: Redis) -> ApiKeys:
    """The API keys that have been used; one round trip."""
    reply = cast("dict[bytes, bytes]", redis.hgetall(keys.API_KEYS))
    fields = {name.decode(): value.decode() for name, value in reply.items()}
    first, configured = fields.pop("first", ""), fields.pop("configured", "")
    return ApiKeys(first=first, configured=tuple(configured.split()), used=frozenset(fields))


def configure(redis: Redis, api_keys: Sequence[str], *, lookback: float) -> list[KeyIndexes]:
    """Register the polled keys, oldest first; the last is current. Returns their indexes. Safe to repeat.

    The use of a new key begins now: what ended more than `lookback` seconds ago is not delivered. Raises
    `ClockStandsStill`, and writes nothing, if nobody knows what is now; never if the use of all keys has begun.
    """
    hashes = [api_key_hash(api_key) for api_key in api_keys]
    script = scripts.script(redis, "tracker/register_api_keys")
    first = cast("bytes | None", script(keys=[keys.PREFIX], args=[lookback, *hashes]))
    if first is None:
        raise ClockStandsStill
    registered = ApiKeys(first=first.decode())
    return [registered.indexes(name) for name in hashes]
