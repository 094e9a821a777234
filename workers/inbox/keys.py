"""The names of the keys. One prefix, one hash tag, so that every script touches one slot.

| key | type | what it holds |
|---|---|---|
| `event:<event key>` | hash | one event: `head` (JSON), `body` (as received), how it came, how each effect stands |
| `request:<id>` | hash | a request: how it was learned, when it was checked, its events, how and by which it ended |
| `api_keys` | hash | API keys by their hashes: when each was first used, which is `first`, which are `configured` |
| `asked` | sorted set | every request known, ended ones too, by its creation (seconds): places in HITL.sh's lists |
| `unverified` | sorted set | requests that only a callback URL speaks of, by their creation (seconds) |
| `checks` | sorted set | requests worth a call to HITL.sh, by when (milliseconds); `*` for discovery |
| `token:<callback id>` | string | the request that one of our callback URLs was made for |
| `unproven` | sorted set | effects that wait until HITL.sh itself confirms their event |
| `unproven:<request>` | set | the events of a request that wait for that |
| `contradicted` | sorted set | events that HITL.sh contradicted, by the time when it did |
| `lost` | sorted set | requests that HITL.sh does not know any more, by the time when that was certain |
| `sweeping` | string | the fencing token of the sweep that runs; expires with its lease |
| `sweep` | hash | what one sweep leaves to the next: checkpoint, horizon, pace, rest after trouble, the last report |
| `asked:<hash>`, `unverified:<hash>`, `checks:<hash>`, `sweep:<hash>` | | the same for each API key after the first |
| `channel`, `channel:<hour>` | hashes | decisions found by webhook and by sweep: lately, and in each hour since 1970 |
| `budget:<hash of an API key>` | hash | the calls of this hour |
| `due` | sorted set | what is due when (milliseconds): `\\|<event key>` to route, `<handler>\\|<event key>` to run |
| `leases` | hash | who holds what: member of `due` to fencing token |
| `claim:<claimant>` | string | its latest claim, should the answer be lost; expires with the lease |
| `fence` | integer | the last fencing token given |
| `wake` | list | a token here wakes one idle drain |
| `drains` | sorted set | resident drains, by the time until which they are known to live |
| `events` | sorted set | every event by the time of its acceptance |
| `failed`, `held`, `quarantine` | sorted sets | what needs a person, by the time when it came to that |
| `paused` | set | handlers that may not begin; `*` for all |
| `turns:<request>` | sorted set | what waits while another event of the same request is handled |
| `waiting:<handler>` | sorted set | effects that wait while as many of that handler run as may |
| `running` | hash | how many effects of a capped handler run |
| `counters` | hash | deliveries by reason |
"""

from rq import Queue

#: The one RQ queue, and its key: RQ's own, outside our prefix.
QUEUE = "hitl"
RQ_QUEUE = f"{Queue.redis_queue_namespace_prefix}{QUEUE}"

PREFIX = "{hitl}:"


def event(key: str) -> str:
    return f"{PREFIX}event:{key}"


def request(request_id: str) -> str:
    return f"{PREFIX}request:{request_id}"


def unproven(request_id: str) -> str:
    return f"{PREFIX}unproven:{request_id}"


def channel(hour: int) -> str:
    """`hour`: since 1970."""
    return f"{PREFIX}channel:{hour}"


DUE = f"{PREFIX}due"
LEASES = f"{PREFIX}leases"
FENCE = f"{PREFIX}fence"
WAKE = f"{PREFIX}wake"
DRAINS = f"{PREFIX}drains"
EVENTS = f"{PREFIX}events"
FAILED = f"{PREFIX}failed"
HELD = f"{PREFIX}held"
QUARANTINE = f"{PREFIX}quarantine"
PAUSED = f"{PREFIX}paused"
COUNTERS = f"{PREFIX}counters"
API_KEYS = f"{PREFIX}api_keys"
ASKED = f"{PREFIX}asked"
UNVERIFIED = f"{PREFIX}unverified"
CHECKS = f"{PREFIX}checks"
UNPROVEN = f"{PREFIX}unproven"
CONTRADICTED = f"{PREFIX}contradicted"
LOST = f"{PREFIX}lost"
SWEEPING = f"{PREFIX}sweeping"
SWEEP = f"{PREFIX}sweep"
CHANNEL = f"{PREFIX}channel"
