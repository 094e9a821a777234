"""Finds stuck work with plain commands: unfinished work must be due, leased, or wait for something that will happen.

`invariants` checks that nothing is lost or counted twice; this checks that everything goes on.
"""

from collections.abc import Iterator

from redis import Redis

from workers.inbox import keys

OPEN = {"due", "retry", "waiting", "running", "paused", "held", "failed", "unconfirmed"}


def find_stuck(redis: Redis) -> list[str]:
    """Stuck work as sentences; empty if there is none."""
    found: list[str] = []
    for name in redis.scan_iter(keys.event("*")):
        key = name.decode().removeprefix(keys.event(""))
        fields = {field.decode(): value.decode(errors="replace") for field, value in redis.hgetall(name).items()}
        found += [f"{key}: {what}" for what in _of_event(redis, key, fields)]
    for name in redis.scan_iter(f"{keys.PREFIX}turns:*"):
        request_id = name.decode().removeprefix(f"{keys.PREFIX}turns:")
        found += [f"{request_id}: {what}" for what in _of_turns(redis, request_id)]
    return found


def _of_event(redis: Redis, key: str, fields: dict[str, str]) -> Iterator[str]:
    handlers = [name for name in fields.get("routed_to", "").split(",") if name]
    open_ones = [name for name in handlers if fields[f"{name}:state"] in OPEN]
    unfinished = fields["state"] in {"due", "failed", "routed"}
    if open_ones and not unfinished:
        yield f"{fields['state']}, and {open_ones} are open"
    if unfinished != (redis.zscore(keys.UNFINISHED, key) is not None):
        yield f"{fields['state']}, and {'not ' if unfinished else ''}among what is unfinished"
    for name in handlers:
        member, state = f"{name}|{key}", fields[f"{name}:state"]
        if redis.hexists(keys.LEASES, member) and redis.zscore(keys.DUE, member) is None:
            yield f"{name} is leased for ever"
        if state == "unconfirmed":
            if redis.zscore(keys.CHECKS, fields.get("request", "")) is None:
                yield f"{name} waits for evidence, and no check is scheduled"
            if fields.get("overruled") in {"open", "missing"}:
                yield f"{name} waits for evidence that was denied"
        waits_for_place = redis.zscore(f"{keys.PREFIX}waiting:{name}", member) is not None
        if waits_for_place and not _is_full(redis, name):
            yield f"{name} waits for a place, and none will be freed"


def _is_full(redis: Redis, handler: str) -> bool:
    counted = int(redis.hget(f"{keys.PREFIX}running", handler) or 0)
    taken = [member for member in redis.hkeys(keys.LEASES) if member.decode().partition("|")[0] == handler]
    return 0 < counted <= len(taken)


def _of_turns(redis: Redis, request_id: str) -> Iterator[str]:
    waiting = [member.decode() for member in redis.zrange(f"{keys.PREFIX}turns:{request_id}", 0, -1)]
    holder = redis.hget(keys.request(request_id), "turn")
    if holder is None:  # the record of the request expired: whichever event ends next passes the turn
        events = [name.decode().removeprefix(keys.event("")) for name in redis.scan_iter(keys.event("*"))]
        own = [key for key in events if redis.hget(keys.event(key), "request") == request_id.encode()]
        if not any(_moves(redis, key) for key in own):
            yield f"{waiting} wait for a turn that nobody holds"
        return
    key = holder.decode()
    for member in waiting:
        if member.partition("|")[2] == key:
            yield f"{member} waits behind its own event"
    if not _moves(redis, key):
        yield f"{waiting} wait for the turn of {key}, which nothing passes on"


def _moves(redis: Redis, key: str) -> bool:
    """Whether its routing or an effect of it is due at some time, so that its turn ends."""
    names = (redis.hget(keys.event(key), "routed_to") or b"").decode().split(",")
    return any(redis.zscore(keys.DUE, f"{name}|{key}") is not None for name in {"", *names})
