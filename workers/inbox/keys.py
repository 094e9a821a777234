"""The names of the keys. One prefix, one hash tag, so that every script touches one slot.

| key | type | what it holds |
|---|---|---|
| `event:<event key>` | hash | one event: `head` (JSON), `body` (as received), how it came, how each effect stands |
| `request:<id>` | hash | what is known of a request: status, outcome, the event that decided it |
| `due` | sorted set | what is due when (milliseconds): `\\|<event key>` to route, `<handler>\\|<event key>` to run |
| `leases` | hash | who holds what: member of `due` to fencing token |
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


DUE = f"{PREFIX}due"
LEASES = f"{PREFIX}leases"
WAKE = f"{PREFIX}wake"
DRAINS = f"{PREFIX}drains"
EVENTS = f"{PREFIX}events"
FAILED = f"{PREFIX}failed"
HELD = f"{PREFIX}held"
QUARANTINE = f"{PREFIX}quarantine"
PAUSED = f"{PREFIX}paused"
COUNTERS = f"{PREFIX}counters"
