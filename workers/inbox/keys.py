"""The names of the keys. One prefix, one hash tag, so that every script touches one slot.

| key | type | what it holds |
|---|---|---|
| `event:<event key>` | hash | one event: its evidence by trust (`signed:head`, `signed:body`, ...) and its effects |
| `request:<id>` | hash | a request: how it became known, when it was checked, its events, how and by which it ended |
| `api_keys` | hash | API keys by their hashes: when each was first used ('' if unknown), `first`, `configured` |
| `asked` | sorted set | every tracked request, ended ones too, by its creation (seconds), as HITL.sh lists them |
| `unverified` | sorted set | requests that only deliveries by callback URL name, by their creation (seconds) |
| `checks` | sorted set | requests worth a call to HITL.sh, by when (milliseconds); `*` for discovery |
| `ended:<request>` | string | its tombstone: outcome, fingerprint, trust, handlers that began |
| `token:<callback id>` | string | the request that one of our callback URLs was made for |
| `token:<callback id>:subject` | string | the one execution or turn that a callback URL without a request reported |
| `unconfirmed` | sorted set | effects that wait until their event has stronger evidence |
| `unconfirmed:<request>` | set | the events of a request that wait for that |
| `overruled` | sorted set | outcomes that stronger evidence overruled, by the time when it came |
| `loop_names` | hash | the names of loops as JSON, by their ids: from account webhooks and the API's list of loops |
| `lost` | sorted set | requests that HITL.sh does not know any more, by the time when that became certain |
| `reconcile_lease` | string | the fencing token of the reconcile run that runs; expires with its lease |
| `reconcile` | hash | the state of reconcile runs: checkpoint, horizon, pause, latest report |
| `asked:<hash>`, `unverified:<hash>`, `checks:<hash>`, `reconcile:<hash>` | | the same for each further API key |
| `webhook_health`, `webhook_health:<hour>` | hashes | decisions by webhook and by reconcile run, also by hour |
| `budget:<hash of an API key>` | hash | the calls of this hour |
| `due` | sorted set | what is due when (milliseconds): `\\|<event key>` to route, `<handler>\\|<event key>` to run |
| `leases` | hash | who holds what: member of `due` to fencing token |
| `claim:<claimant>` | string | its latest claim, should the answer be lost; expires with the lease |
| `clock` | hash | the inbox clock: its latest tick, and the latest time that a script was given |
| `wake` | list | a token here wakes one idle drain |
| `drains` | sorted set | resident drains, by the time at which their latest announcement expires |
| `handlers` | sorted set | names of the handlers that drains have had, by when one last announced them |
| `events` | sorted set | every event by the time of its acceptance |
| `unrouted`, `unrouted_decisions` | sorted sets | events that no route matches, and the decisions among them |
| `unfinished` | sorted set | events of which something is open, by the time of their acceptance |
| `failed`, `held`, `quarantine` | sorted sets | what needs a person, by the time when it began to |
| `quota:<callback id>`, `quota:<callback id>:<day>` | hash | how many events and bytes one callback URL has had kept |
| `quarantine_bytes` | hash | bytes of the bodies in quarantine: `callback` and `verified` |
| `reserve` | string | room for RQ's own writes: deleted when the server is full |
| `suspects` | sorted set | items that a worker died with and that wait to run alone, by since when; also in `due` |
| `clearing` | string | the drain that runs suspects, one at a time |
| `paused` | set | handlers that may not begin; `*` for all |
| `resumes` | set | ids of resumes that drains have not carried out yet |
| `turns:<request>` | sorted set | what waits while another event of the same request is handled |
| `waiting:<handler>` | sorted set | effects that wait because their handler runs at its `concurrency` |
| `running` | hash | how many effects of a capped handler run |
| `counters` | hash | deliveries by reason; `conflicts`, `misuses`, `repaired`, `api_429` |
| `question:<id>` | hash | a question that was asked through us: its `record`, `revision` and `version` |
| `questions_open` | sorted set | questions without an outcome, by when they were asked (seconds) |
| `questions_queued` | sorted set | questions that wait for calls, by priority and time |
| `questions_due` | sorted set | questions that are to be asked, repaired or escalated, by when (milliseconds) |
| `questions_unbound` | sorted set | callback ids whose request may exist and escalates, by its intent (seconds) |
| `timeouts_unbound` | set | members of `due`: timeouts that may be of such a request, and wait until it is bound |
| `present:<process>` | string | a `clock` or a `web` process is running; expires without announcements |
| `proof:<nonce>` | hash | outcomes of the test deliveries of `doctor --prove`, by case; expires in minutes |
| `recent:<slot>` | hash | deliveries by reason in five minutes; expires after an hour |
| `latest` | hash | when each reason last occurred, and each process last announced itself (milliseconds) |
| `latest_events` | hash | the event with which `conflicts` and `misuses` last occurred |
| `route_warnings` | string | JSON: warnings of the latest drain about routes that read fields which nobody sends |
| `alarms` | string | JSON: which alarms are raised, since when, and who was notified when |
| `metrics` | hash | counts and histograms of all processes for Prometheus, by `metric\\|label\\|bucket` |
"""

PREFIX = "{hitl}:"

#: Seconds: a request lives 30 days at the most (deferred, without a timeout of its own); then nothing more can come.
LONGEST_REQUEST = 31 * 86_400


def event(key: str) -> str:
    return f"{PREFIX}event:{key}"


def request(request_id: str) -> str:
    return f"{PREFIX}request:{request_id}"


def unconfirmed(request_id: str) -> str:
    return f"{PREFIX}unconfirmed:{request_id}"


def tombstone(request_id: str) -> str:
    return f"{PREFIX}ended:{request_id}"


def waiting(handler: str) -> str:
    return f"{PREFIX}waiting:{handler}"


def question(question_id: str) -> str:
    return f"{PREFIX}question:{question_id}"


def webhook_health(hour: int) -> str:
    """`hour`: since 1970."""
    return f"{PREFIX}webhook_health:{hour}"


def present(process: str) -> str:
    """`process`: clock or web."""
    return f"{PREFIX}present:{process}"


def proof(nonce: str) -> str:
    return f"{PREFIX}proof:{nonce}"


def recent(slot: int) -> str:
    """`slot`: number of five minutes since 1970."""
    return f"{PREFIX}recent:{slot}"


def budget(api_key_hash: str) -> str:
    return f"{PREFIX}budget:{api_key_hash}"


DUE = f"{PREFIX}due"
LEASES = f"{PREFIX}leases"
CLOCK = f"{PREFIX}clock"
WAKE = f"{PREFIX}wake"
DRAINS = f"{PREFIX}drains"
HANDLERS = f"{PREFIX}handlers"
EVENTS = f"{PREFIX}events"
UNFINISHED = f"{PREFIX}unfinished"
UNROUTED = f"{PREFIX}unrouted"
UNROUTED_DECISIONS = f"{PREFIX}unrouted_decisions"
FAILED = f"{PREFIX}failed"
HELD = f"{PREFIX}held"
QUARANTINE = f"{PREFIX}quarantine"
SUSPECTS = f"{PREFIX}suspects"
RESUMES = f"{PREFIX}resumes"
PAUSED = f"{PREFIX}paused"
COUNTERS = f"{PREFIX}counters"
METRICS = f"{PREFIX}metrics"
LATEST = f"{PREFIX}latest"
LATEST_EVENTS = f"{PREFIX}latest_events"
ROUTE_WARNINGS = f"{PREFIX}route_warnings"
ALARMS = f"{PREFIX}alarms"
RESERVE = f"{PREFIX}reserve"
API_KEYS = f"{PREFIX}api_keys"
ASKED = f"{PREFIX}asked"
UNVERIFIED = f"{PREFIX}unverified"
CHECKS = f"{PREFIX}checks"
UNCONFIRMED = f"{PREFIX}unconfirmed"
OVERRULED = f"{PREFIX}overruled"
LOOP_NAMES = f"{PREFIX}loop_names"
LOST = f"{PREFIX}lost"
RECONCILE_LEASE = f"{PREFIX}reconcile_lease"
RECONCILE_STATE = f"{PREFIX}reconcile"
WEBHOOK_HEALTH = f"{PREFIX}webhook_health"
QUESTIONS_OPEN = f"{PREFIX}questions_open"
QUESTIONS_QUEUED = f"{PREFIX}questions_queued"
QUESTIONS_DUE = f"{PREFIX}questions_due"
QUESTIONS_UNBOUND = f"{PREFIX}questions_unbound"
#: Channel: `<id> <version>` of each question that has changed; a message may be lost.
QUESTION_CHANGES = f"{PREFIX}questions"


def script_keys(key_hash: str | None) -> list[str]:
    """The keys of a script that records what was read with an API key; None where no key was used."""
    return [PREFIX] if not key_hash else [PREFIX, f"{PREFIX}api_key:{key_hash}"]
