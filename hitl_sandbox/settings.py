"""The settings of a sandbox: given when it starts, changed while it runs."""

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

#: The account of the keys named at start that name no other.
OWNER = "owner@example.com"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SandboxSettings:
    """The defaults follow the vendor's documents; where these disagree, docs/sandbox.md states the choice."""

    #: API keys and the e-mail address of each one's account. Empty: any key is accepted and has its own account.
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: Names and addresses that the Host header of a request may have, beside those of loopback.
    allow_hosts: tuple[str, ...] = ()
    #: The SQLite file; None holds all records in memory.
    db: str | None = None
    #: Sandbox seconds in a real second; at 0 the clock moves only when it is advanced.
    speed: float = 1.0
    #: The Unix time at which the clock starts; None for now.
    start: float | None = None
    seed: int | None = None
    rate_limit: int = 100
    rate_limit_body: RateLimitBody = "hour"
    #: An account webhook registered at start.
    webhook: str | None = None
    webhook_secret: str = ""
    callback_variant: CallbackVariant = "callback-v2"
    #: The forms of an answer in callbacks and in GET replies.
    callback_form: ResponseForm = "object"
    response_form: ResponseForm = "label"
    callback_delays: tuple[float, ...] = (0, 1, 2, 4)
    account_delays: tuple[float, ...] = (0, 15, 60, 300, 1800, 7200, 43200, 86400)
    turn_delays: tuple[float, ...] = (0, 1, 5, 30)
    #: Seconds in which a receiver must answer; real ones, since a receiver does not run on the sandbox's clock.
    deadline: float = 10.0
    #: Require every field that the reference requires, also those that samples leave out; refuse undocumented calls.
    strict: bool = False
    #: The state ``claimed`` of the first API generation, and the seconds after which a claim expires.
    claims: bool = False
    claim_seconds: float = 1800
    cancel_claimed: bool = False
    #: Add the extra keys of the first API generation to replies.
    r1_replies: bool = False
    #: Return default_response as response_data after a timeout.
    fill_timeout: bool = False
    #: Refuse to delete a loop that has open requests.
    keep_busy_loops: bool = False

    def changed(self, changes: Mapping[str, Any]) -> "SandboxSettings":
        """Copy the settings with changes; raises ``Refusal`` for a name or a choice that does not exist."""
        names = sorted(field.name for field in dataclasses.fields(self))
        unknown = sorted(set(changes) - set(names))
        if unknown:
            raise Refusal(400, f"Unknown settings: {', '.join(unknown)}", f"use one of {', '.join(names)}")
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
