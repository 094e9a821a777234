"""The test deliveries of `doctor --prove`, each with its expected status. No I/O, except random bytes."""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from hitlsh import signatures
from hitlsh.callbacks import CALLBACK_PATH, DEFAULT_MAX_AGE
from service.proofs.challenges import QUERY_PARAMETER, Challenge, Challenger, Channel, path_signer
from service.web.app import WEBHOOKS
from service.web.endpoints import PROOF_BODY, PROOF_HEADER

Case = Literal["valid", "repeated", "forged", "late", "malformed", "largest", "oversized"]

#: Bytes of the largest body that is posted: with a higher HITL_MAX_BODY, the limits are not tried.
LARGEST_BODY = 8 << 20
#: JSON that a proxy changes if it parses and serializes bodies.
_CONTENT = r'"text":"Zo\u00eb, Zoë \/ ✓","number":1.50}'
_DAY = 86_400.0


class ProofDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP POST."""

    case: Case
    challenge: Challenge
    #: With the query.
    path: str
    headers: Mapping[str, str]
    body: bytes
    expected: int


class ProofDeliveryBuilder:
    """Builds the test deliveries of one channel, with one secret."""

    def __init__(self, channel: Channel, secret: str, nonce: str, *, max_body: int) -> None:
        self.channel: Channel = channel
        self.challenger = Challenger(channel, secret)
        self._secret = secret
        self._nonce = nonce
        self._max_body = max_body

    def valid(self, name: str = "valid") -> ProofDelivery:
        """A delivery that a receiver should accept. `name`: of its record."""
        return self._delivery("valid", 202, name=name)

    def following(self, valid: ProofDelivery) -> Iterator[ProofDelivery]:
        """All deliveries that may follow, once this receiver has answered the first."""
        yield msgspec.structs.replace(valid, case="repeated", expected=200)
        yield self._delivery("forged", 401)
        if self.channel == "callback":
            yield self._delivery("late", 401)
        yield self._delivery("malformed", 400, body=PROOF_BODY + b'"cut":')
        if self._max_body <= LARGEST_BODY:
            yield self._delivery("largest", 202, body=_padded(self._max_body))
            yield self._delivery("oversized", 413, body=_padded(self._max_body + 1))

    def _delivery(
        self, case: Case, expected: int, *, name: str | None = None, body: bytes = PROOF_BODY + _CONTENT.encode()
    ) -> ProofDelivery:
        challenge = Challenge(nonce=self._nonce, case=f"{self.channel}.{name or case}")
        token = self.challenger.challenge(challenge)
        is_webhook = self.channel == "webhook"
        path = WEBHOOKS if is_webhook else f"{CALLBACK_PATH}{self._path_token(case)}"
        signature = self._signature_headers(case, body) if is_webhook else {}
        return ProofDelivery(
            case=case,
            challenge=challenge,
            path=f"{path}?{QUERY_PARAMETER}={token}",
            headers={"content-type": "application/json", PROOF_HEADER.decode(): token, **signature},
            body=body,
            expected=expected,
        )

    def _signature_headers(self, case: Case, body: bytes) -> dict[str, str]:
        return signatures.headers(secrets.token_urlsafe(32) if case == "forged" else self._secret, body)

    def _path_token(self, case: Case) -> str:
        if case == "forged":
            return path_signer([secrets.token_urlsafe(32)]).mint()
        if case == "late":
            minted_at = time.time() - DEFAULT_MAX_AGE.total_seconds() - _DAY
            return path_signer([self._secret], clock=lambda: minted_at).mint()
        return path_signer([self._secret]).mint()


def _padded(size: int) -> bytes:
    beginning, end = PROOF_BODY + b'"padding":"', b'"}'
    return beginning + b"x" * (size - len(beginning) - len(end)) + end
