"""The lease of reconcile runs, and the notes that its holder saves. A run without the lease saves nothing."""

from collections.abc import Iterable
from typing import Literal, cast

import msgspec
from redis import Redis

from workers.errors import WorkersError
from workers.inbox import keys, scripts
from workers.inbox.claims import fencing_token
from workers.inbox.store import encode_frame

Verb = Literal["open", "details", "loop", "loop_name", "ended", "missing", "due", "hold", "state"]

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


#: Token of a lease that belongs to no run: see `hold_off`.
_NO_RUN = b"0"
#: Milliseconds that reconcile runs are held off after one failed.
_HOLD_OFF = 60_000


class LeaseLost(WorkersError):
    """Another reconcile run took the lease over, because this one did not renew it in time."""


class ActiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of the lease of reconcile runs."""

    #: Seconds until the lease expires, unless it is renewed.
    seconds: float
    #: No run is active: one failed, and none is enqueued until the lease expires.
    held_off: bool


def active_run(redis: Redis) -> ActiveRun | None:
    """The holder of the lease; None if nobody holds it."""
    with redis.pipeline() as pipe:
        pipe.get(keys.RECONCILE_LEASE)
        pipe.pttl(keys.RECONCILE_LEASE)
        token, left = cast("tuple[bytes | None, int]", pipe.execute())
    return None if token is None else ActiveRun(seconds=max(0, left) / 1000, held_off=token == _NO_RUN)


def hold_off(redis: Redis) -> None:
    """Prevent reconcile runs for a minute, unless one is active; else the clock would enqueue one at once."""
    redis.set(keys.RECONCILE_LEASE, _NO_RUN, nx=True, px=_HOLD_OFF)


class Note(msgspec.Struct, frozen=True):
    """One result of a reconcile run, to be saved; see save_reconcile_notes.lua."""

    verb: Verb
    request_id: str
    first: str | bytes = ""
    second: str | bytes = ""


class SavedCounts(msgspec.Struct, frozen=True):
    """What saved notes changed in the request tracker."""

    #: Requests tracked for the first time.
    new: int = 0
    lost: int = 0
    overruled: int = 0


class ReconcileLease:
    """A lease that at most one reconcile run holds, on any host; another run may take it when it has expired."""

    def __init__(self, redis: Redis, *, seconds: float, retention: int) -> None:
        """`seconds`: of the lease. `retention`: seconds that finished work is kept."""
        #: Hash of the API key in use.
        self.key_hash = ""
        self._redis = redis
        self._milliseconds = int(seconds * 1000)
        self._retention = retention
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)
        self._save_notes = scripts.script(redis, "tracker/save_reconcile_notes")
        self.token = 0

    def acquire(self) -> bool:
        """Take the lease; returns False if another run holds it."""
        token = fencing_token()
        if not self._redis.set(keys.RECONCILE_LEASE, token, nx=True, px=self._milliseconds):
            return False
        self.token = token
        return True

    def renew(self, held: Iterable[tuple[str, int]]) -> list[str]:
        """Lengthen the lease, as `LeaseKeeper.renew` does; returns the names of those that were lost."""
        return [
            name
            for name, token in held
            if not self._renew(keys=[keys.RECONCILE_LEASE], args=[token, self._milliseconds])
        ]

    def release(self) -> None:
        """Give the lease up, so that the next run can begin."""
        self._release(keys=[keys.RECONCILE_LEASE], args=[self.token])

    def write(self, notes: Iterable[Note], *, began: float) -> SavedCounts:
        """Save the notes. Raises `LeaseLost`, and writes nothing, when another run holds the lease."""
        fields = (field for note in notes for field in (note.verb, note.request_id, note.first, note.second))
        life = keys.LONGEST_REQUEST + self._retention
        arguments = (self.token, life, self._retention, f"{began:.6f}", encode_frame(fields))
        is_holder, *counts = cast("list[int]", self._save_notes(keys=keys.script_keys(self.key_hash), args=arguments))
        if not is_holder:
            raise LeaseLost
        return SavedCounts(*counts)
