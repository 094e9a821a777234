"""What can be chosen when a sandbox starts, and changed while it runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from hitl_sandbox.errors import Refusal

ResponseForm = Literal["label", "value", "slug", "object"]
CallbackVariant = Literal[
    "callback-v2",
    "nested",
    "intro-flat",
    "data-flat",
    "global",
    "n8n-doc",
    "make-flat",
    "make-workflow",
    "handoff",
    "legacy-r0",
    "n8n-resume",
]
RateLimitBody = Literal["hour", "usage", "rate-data", "request-data", "reset-at", "top-level"]

#: The account that holds the keys named at start, unless a key names its own.
OWNER = "owner@example.com"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Defaults are the vendor's documents where they agree, and our stated choice where they do not."""

    #: API key -> e-mail of its account. Empty: any bearer key is accepted and is its own account.
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: Names and addresses, beside those of loopback, that the Host header of a request may carry.
    allow_hosts: tuple[str, ...] = ()
    #: SQLite file; None keeps everything in memory.
    db: str | None = None
    #: Virtual seconds per real second; 0 stands still until the clock is advanced.
    speed: float = 1.0
    #: Unix time the clock starts at; None is now.
    start: float | None = None
    seed: int | None = None
    rate_limit: int = 100
    rate_limit_body: RateLimitBody = "hour"
    #: An account webhook registered at start.
    webhook: str | None = None
    webhook_secret: str = ""
    callback_variant: CallbackVariant = "callback-v2"
    #: How an answer is written into a callback, and into GET replies.
    callback_form: ResponseForm = "object"
    response_form: ResponseForm = "label"
    callback_delays: tuple[float, ...] = (0, 1, 2, 4)
    account_delays: tuple[float, ...] = (0, 15, 60, 300, 1800, 7200, 43200, 86400)
    turn_delays: tuple[float, ...] = (0, 1, 5, 30)
    #: Real seconds a receiver has to answer: receivers do not live on our clock.
    deadline: float = 10.0
    #: Require what the reference requires although samples leave it out; refuse undocumented calls.
    strict: bool = False
    #: The claimed state of the first API generation, and how long a claim lasts.
    claims: bool = False
    claim_seconds: float = 1800
    cancel_claimed: bool = False
    #: Replies with the extra keys of the first API generation.
    r1_replies: bool = False
    #: Put default_response into response_data when a request times out.
    fill_timeout: bool = False
    #: Refuse to delete a loop that has open requests.
    keep_busy_loops: bool = False

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """These settings with some replaced; refuses a name or a choice that does not exist."""
        known = {field.name: field for field in dataclasses.fields(self)}
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise Refusal(400, f"Unknown settings: {', '.join(unknown)}", f"known are {', '.join(sorted(known))}")
        for name, choices in CHOICES.items():
            if name in changes and changes[name] not in choices:
                raise Refusal(400, f"Unknown {name} {changes[name]!r}", f"use one of {', '.join(choices)}")
        if "keys" in changes and not isinstance(changes["keys"], Mapping):
            changes = {**changes, "keys": dict.fromkeys(changes["keys"], OWNER)}
        tuples = {name: tuple(value) for name, value in changes.items() if isinstance(value, list)}
        return dataclasses.replace(self, **{**changes, **tuples})


CHOICES: dict[str, tuple[str, ...]] = {
    "callback_variant": get_args(CallbackVariant),
    "callback_form": get_args(ResponseForm),
    "response_form": get_args(ResponseForm),
    "rate_limit_body": get_args(RateLimitBody),
}
