"""Callback URLs with a signed token, since HITL.sh does not sign what it posts to a callback URL.

Follows https://docs.hitl.sh, "Webhooks". A token holds an id of its own and the state of the caller, signed and dated
by itsdangerous. Nothing in it is secret, and nothing in it can be changed. It is not compressed: compression costs more
time than the bytes it saves, and a short token could unpack into a long one.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from itsdangerous import BadData, BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from hitlsh.errors import DeliveryRefused, HitlshError
from hitlsh.webhooks.json_structure import DEEPEST, nests_within

CALLBACK_PATH = "/callbacks/"
#: Bytes of a state as JSON.
LARGEST_STATE = 2048
#: Characters of a token: the largest state in base64, an id, a time and a signature fit.
LONGEST_TOKEN = 3072
#: A deferred request lives 30 days, and HITL.sh may repeat the delivery of its outcome for days more.
DEFAULT_MAX_AGE = timedelta(days=40)

Reason = Literal["callback_malformed", "callback_forged", "callback_expired"]

_SHORTEST_KEY = 16
_SALT = "hitl-receiver."
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SENTENCES: dict[Reason, str] = {
    "callback_malformed": (
        "the callback token has another form or was cut; give HITL.sh the whole URL that was minted"
    ),
    "callback_forged": (
        "the callback token fits none of the configured keys; "
        "keep a key listed until the last token it signed has expired"
    ),
    "callback_expired": ("the callback token is older than allowed; raise the maximum age if requests live longer"),
}


class CallbackInvalid(DeliveryRefused):
    """A callback token is not ours, or is no longer valid."""

    #: ``callback_malformed``, ``callback_forged`` (no configured key signed it) or ``callback_expired``.
    reason: Reason

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return _SENTENCES[self.reason]


class StateInvalid(HitlshError):
    """A state is not plain JSON: it would be read back as another value."""

    #: What is wrong with it, as the rest of a sentence.
    problem: str

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"a callback's state {self.problem}"


class StateTooLarge(StateInvalid):
    """A state is longer than `LARGEST_STATE` bytes: senders and proxies refuse longer URLs."""


class CallbackState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the request's own callback URL carries."""

    id: str | None = None
    state: Any = None


class CallbackToken(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a verified callback token."""

    #: 128 random bits in base64, unique to the token.
    id: str
    #: The JSON value that was given to `CallbackSigner.mint`; None where there was none.
    state: Any
    #: Aware, UTC, whole seconds.
    minted_at: datetime

    def __repr__(self) -> str:
        return f"CallbackToken(id={self.id!r}, state=…, minted_at={self.minted_at.isoformat()})"


class CallbackSigner:
    """Mints and reads callback tokens. Safe to share between threads.

    ``keys``: 16 characters or more each, the oldest first; the last signs, all verify. ``max_age``: of a token, as a
    timedelta or in seconds. ``purpose``: a token of one purpose is not valid for another. ``clock``: returns the time
    in seconds since 1970. Raises ValueError without such keys.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        max_age: timedelta | float = DEFAULT_MAX_AGE,
        purpose: str = "callback",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(keys, str) or not keys or any(len(key) < _SHORTEST_KEY for key in keys):
            raise ValueError(
                f"CallbackSigner needs a list of keys of {_SHORTEST_KEY} characters or more; make one with "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        self._keys = len(keys)
        self._max_age = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        self._clock = clock
        self._signer = _Signer(
            list(keys),
            salt=f"{_SALT}{purpose}".encode(),
            key_derivation="hmac",
            digest_method=hashlib.sha256,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"CallbackSigner(keys=<{self._keys} masked>, max_age={self._max_age:.0f}s)"

    def mint(self, state: Any = None) -> str:
        """Return a new token, of at most `LONGEST_TOKEN` characters, that carries the state.

        Raises StateInvalid for a state that is not plain JSON, and StateTooLarge for one above `LARGEST_STATE` bytes.
        """
        check_state(state)
        token_id = secrets.token_urlsafe(16)
        payload = base64_encode(_encode([token_id, state]))
        return self._signer.sign(payload).decode("ascii")

    def read(self, token: str) -> CallbackToken:
        """Verify a token and return its content; raises CallbackInvalid, and nothing else, for every other string."""
        if len(token) > LONGEST_TOKEN or _TOKEN.fullmatch(token) is None:
            raise CallbackInvalid("callback_malformed")
        payload, minted_at = self._unsign(token)
        # A token from the future is accepted: the clock of the machine that minted it is ahead.
        if self._clock() - minted_at.timestamp() > self._max_age:
            raise CallbackInvalid("callback_expired")
        try:
            token_id, state = _decode(base64_decode(payload))
        except (BadData, msgspec.MsgspecError, UnicodeDecodeError):
            raise CallbackInvalid("callback_malformed") from None
        return CallbackToken(id=token_id, state=state, minted_at=minted_at)

    def _unsign(self, token: str) -> tuple[bytes, datetime]:
        # Not chained: the errors of itsdangerous hold the payload, which would reach the logs.
        try:
            return self._signer.unsign(token, return_timestamp=True)
        except BadSignature:
            raise CallbackInvalid("callback_forged") from None

    @staticmethod
    def url(public_url: str, token: str) -> str:
        """Return the callback URL of a token.

        ``public_url``: the address under which HITL.sh reaches the receiver, such as ``https://hooks.example.com``.
        Raises ValueError for anything else.
        """
        parts = urlsplit(public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(
                f"{public_url!r} cannot be the address of callbacks; give the public one, such as https://hooks.example.com"
            )
        return f"{public_url.rstrip('/')}{CALLBACK_PATH}{token}"


class _Signer(TimestampSigner):
    """The signer of itsdangerous with the clock as an argument."""

    def __init__(self, *args: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*args, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, Any]).decode


def check_state(state: Any) -> None:
    """Raise StateInvalid for a state that is not plain JSON, and StateTooLarge for one above `LARGEST_STATE` bytes."""
    try:
        encoded = _encode(state)
        unchanged = nests_within(state) and msgspec.json.decode(encoded) == state
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        unchanged = False
    if not unchanged:
        raise StateInvalid(
            f"must be plain JSON of at most {DEEPEST} levels, and this {type(state).__name__} would be read back "
            "changed; convert it to str, numbers, bool, None, lists and objects with str keys first"
        )
    if len(encoded) > LARGEST_STATE:
        raise StateTooLarge(
            f"is {len(encoded)} bytes as JSON and may be {LARGEST_STATE}; keep it in your own store and carry its key"
        )
