"""Invariants of the inbox at every moment, checked with plain commands: nothing is lost or counted twice."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from redis import Redis

from workers.inbox import keys

ENDED = {"done", "skipped", "discarded", "superseded"}


def broken(redis: Redis) -> list[str]:
    """The violated invariants as sentences; empty if there are none."""
    places = whereabouts(redis)
    due, leased = names(redis.zrange(keys.DUE, 0, -1)), names(redis.hkeys(keys.LEASES))
    found = [f"{member} is leased and not due" for member in leased - due]
    for name in redis.scan_iter(keys.event("*")):
        key = name.decode().removeprefix(keys.event(""))
        fields = {field.decode(): value.decode(errors="replace") for field, value in redis.hgetall(name).items()}
        found += [f"{key}: {what}" for what in _of_event(redis, key, fields, places, leased)]
        found += [f"{key}: {what}" for what in _of_proof(redis, key, fields)]
    for name in redis.scan_iter(keys.request("*")):
        found += [f"{name.decode()}: {what}" for what in _of_request(redis, redis.hgetall(name))]
    return found


def _of_request(redis: Redis, fields: dict[bytes, bytes]) -> Iterator[str]:
    for field, key in fields.items():
        event = keys.event(key.decode())
        if field.startswith(b"effect:") and redis.exists(event) and not redis.hexists(event, "outcome"):
            yield f"{field.decode()} is of {key.decode()}, which ends nothing"


def whereabouts(redis: Redis) -> Counter[str]:
    """In how many indexes of open work each member is."""
    indexes = [keys.DUE, keys.FAILED, keys.HELD, keys.UNCONFIRMED]
    indexes += [*redis.scan_iter(f"{keys.PREFIX}waiting:*"), *redis.scan_iter(f"{keys.PREFIX}turns:*")]
    return Counter(member.decode() for index in indexes for member in redis.zrange(index, 0, -1))


def names(found: Any) -> set[str]:
    return {name.decode() for name in found}


def _of_event(redis: Redis, key: str, fields: dict[str, str], places: Counter[str], leased: set[str]) -> Iterator[str]:
    expires = redis.ttl(keys.event(key)) > 0
    state = fields["state"]
    routing_waits = state in {"due", "failed"}
    # What HITL.sh contradicts before it is routed ends when its routing is claimed.
    ends_at_the_claim = state == "overruled" and places[f"|{key}"] == 1
    if places[f"|{key}"] != routing_waits and not ends_at_the_claim:
        yield f"{state}, and its routing stands in {places[f'|{key}']} places"
    if state in {"quarantined", "reread"}:
        return
    handlers = [name for name in fields.get("routed_to", "").split(",") if name]
    open_ones = [name for name in handlers if fields[f"{name}:state"] not in ENDED]
    for handler in handlers:
        if places[f"{handler}|{key}"] != (handler in open_ones):
            effect = fields[f"{handler}:state"]
            yield f"{handler} is {effect} and stands in {places[f'{handler}|{key}']} places"
    if int(fields.get("open", 0)) != len(open_ones):
        yield f"open is {fields.get('open')}, and {open_ones} are"
    if int(fields.get("active", 0)) != sum(f"{handler}|{key}" in leased for handler in handlers):
        yield f"active is {fields.get('active')}"
    began = {name for name in handlers if f"{name}|{key}" in leased}
    if began != {name for name in handlers if fields[f"{name}:state"] == "running"}:
        yield f"running and leased differ: {began}"
    unfinished = bool(open_ones) or routing_waits
    if expires == unfinished or ("finished_at" in fields) == unfinished:
        yield f"{state}, open: {open_ones}, expires: {expires}, finished_at: {fields.get('finished_at')}"
    if unfinished and _decided_by(redis, fields.get("request"), key) and redis.ttl(keys.request(fields["request"])) > 0:
        yield "its request expires before it is finished"


def _of_proof(redis: Redis, key: str, fields: dict[str, str]) -> Iterator[str]:
    handlers = [name for name in fields.get("routed_to", "").split(",") if name]
    waiting = [name for name in handlers if fields[f"{name}:state"] == "unconfirmed"]
    for name in waiting:
        if redis.zscore(keys.UNCONFIRMED, f"{name}|{key}") is None:
            yield f"{name} is unconfirmed and does not stand among what is"
    listed = key.encode() in redis.smembers(keys.unconfirmed(fields.get("request", "")))
    if listed != bool(waiting):
        yield f"{waiting} wait for confirmation, and the event is {'' if listed else 'not '}among those of its request"
    for_evidence = [name for name in waiting if fields[f"{name}:needs"] != "details"]
    if for_evidence and fields["trust"] == "confirmed":
        yield f"{for_evidence} wait for a confirmation that came"
    if waiting and fields.get("overruled") in {"open", "missing"}:
        yield f"{waiting} wait for a confirmation that will never come"
    if ("overruled" in fields) != (redis.zscore(keys.OVERRULED, key) is not None):
        yield f"overruled: {fields.get('overruled')}, and not so in the index"


def _decided_by(redis: Redis, request_id: str | None, key: str) -> bool:
    return request_id is not None and redis.hget(keys.request(request_id), "event") == key.encode()
