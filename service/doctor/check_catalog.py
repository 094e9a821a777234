"""Every check of `hitl-receiver doctor`, for docs/doctor.md. No I/O."""

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check."""

    #: Its group, a dot, and its name in the group.
    name: str
    #: The condition that is checked, and the consequence if it does not hold.
    meaning: str


#: Of the groups in the order in which they are printed.
GROUP_TITLES = {
    "settings": "Settings",
    "redis": "Redis",
    "handlers": "Handlers",
    "processes": "Processes",
    "api": "HITL.sh",
    "address": "Public address",
    "prove": "Proof",
    "alerts": "Alerts",
}
#: The groups of `doctor` without `--prove` and `--alerts`, which post something.
CHECKED_GROUPS = tuple(group for group in GROUP_TITLES if group not in {"prove", "alerts"})


CHECKS = (
    Check(name="settings.valid", meaning="each setting can be read. An error: every program refuses to start"),
    Check(name="settings.serve", meaning="`serve` has what it needs. It cannot start without a secret"),
    Check(name="settings.work", meaning="`work` has what it needs. It cannot start without handlers"),
    Check(name="redis.reachable", meaning="the server of `REDIS_URL` answers"),
    Check(name="redis.version", meaning="Redis 7.0, Valkey 7.2 or newer; older ones cannot run the inbox's scripts"),
    Check(name="redis.mode", meaning="the server is no cluster, and no replica, which takes no writes"),
    Check(name="redis.writes", meaning="the server takes writes: its disk works, and enough replicas are in step"),
    Check(
        name="redis.durability",
        meaning="an append-only file, written to disk at least each second. Without it, a stop of the server loses "
        "acknowledged deliveries",
    ),
    Check(name="redis.eviction", meaning="a full server refuses writes and deletes nothing"),
    Check(
        name="redis.memory",
        meaning="less than 80 % of `maxmemory` is used. Above that callbacks get 503, above 90 % all deliveries",
    ),
    Check(
        name="redis.clock",
        meaning="the clocks of the server and of this machine differ by 2 seconds at the most. The lifetime of "
        "callback URLs and the times in logs go by both",
    ),
    Check(
        name="handlers.import",
        meaning="the module of `HITL_HANDLERS` can be imported and has routes. Of an error, the frames of your code "
        "are shown",
    ),
    Check(
        name="handlers.fields",
        meaning="without an API key, no route reads a field that a delivery may lack",
    ),
    Check(
        name="handlers.confirmation",
        meaning='a route with `trust="confirmed"` has an API key to confirm decisions with',
    ),
    Check(name="handlers.sinks", meaning="the host of each `Webhook` and `Slack` can be reached; nothing is sent"),
    Check(
        name="processes.handlers",
        meaning="a worker is connected to the queue `hitl`, and due work does not wait",
    ),
    Check(
        name="processes.reconcile",
        meaning="with an API key, a worker is connected to the queue `hitl-reconcile`",
    ),
    Check(name="processes.clock", meaning="a clock process has announced itself in the last seconds"),
    Check(
        name="api.health",
        meaning="HITL.sh's own health endpoint answers. It costs no call; an installation without one is fine",
    ),
    Check(name="api.key", meaning="HITL.sh takes the API key, and its account is active. Costs one call"),
    Check(name="api.calls", meaning="calls are left in this hour"),
    Check(
        name="address.reachable",
        meaning="something answers under `HITL_PUBLIC_URL`, without a redirect. Whether it is this receiver, only "
        "`--prove` tells",
    ),
    Check(name="prove.redis", meaning="a record of the proof can be written to `REDIS_URL`"),
    Check(
        name="prove.identity",
        meaning="the URL leads to a process with the secret and with the Redis that are set here, not to a stranger, "
        "nor to another installation",
    ),
    Check(name="prove.secrets", meaning="the receiver takes every secret that is set here"),
    Check(
        name="prove.accepted",
        meaning="a valid delivery arrives as it was sent, once, and its answer comes back. Otherwise: what was changed",
    ),
    Check(name="prove.repeated", meaning="the same delivery again reaches the receiver, which answers 200"),
    Check(name="prove.forged", meaning="a wrong signature, or a forged callback URL, is answered 401"),
    Check(name="prove.late", meaning="a callback URL that has expired is answered 401; signatures hold no time"),
    Check(name="prove.malformed", meaning="a body that is no JSON is answered 400"),
    Check(
        name="prove.largest",
        meaning="a body of `HITL_MAX_BODY` bytes passes; a proxy may have a lower limit. Not tried above 8 MiB",
    ),
    Check(name="prove.oversized", meaning="a larger body is answered 413, by the receiver or in front of it"),
    Check(
        name="alerts.sent",
        meaning="each entry of `HITL_ALERTS` takes a test message. A warning while another entry takes it: otherwise "
        "nobody is told of an alarm",
    ),
)
