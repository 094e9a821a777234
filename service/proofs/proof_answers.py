"""Answers the test deliveries of `doctor --prove` in the web process.

A test delivery passes through the code that reads and verifies every delivery, and ends there: nothing is stored in
the inbox and nothing is counted. Only a delivery with a challenge that one of our secrets signed is answered here, so
that strangers learn nothing.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl

import msgspec
from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from hitlsh.webhooks.delivery_headers import header
from hitlsh.webhooks.receiving import BodyInvalid
from service.proofs.challenges import (
    QUERY_PARAMETER,
    Challenge,
    ChallengeExpired,
    ChallengeVerifier,
    Channel,
    ProofOutcome,
    VerifiedChallenge,
)
from service.web.body_reader import ClientDisconnected, RequestRefused
from service.web.endpoints import PROOF_HEADER, Endpoint, answer

logger = logging.getLogger("hitl.receiver")

#: Records the outcome of a test delivery: nonce, case, outcome; returns the number of deliveries of the case.
Record = Callable[[str, str, bytes], Awaitable[int]]


class ProofAnswers:
    """Answers test deliveries of one endpoint."""

    def __init__(
        self,
        channel: Channel,
        secrets: Sequence[str],
        endpoint: Endpoint,
        *,
        record: Record,
        is_ready: Callable[[], bool],
    ) -> None:
        """`endpoint`: reads and verifies test deliveries. `is_ready`: whether deliveries are stored now."""
        self._verifier = ChallengeVerifier(channel, secrets)
        self._endpoint = endpoint
        self._record = record
        self._is_ready = is_ready

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a test delivery; returns False for every other delivery, before it is read."""
        try:
            verified = self._verified(scope)
        except ChallengeExpired:
            logger.info("proof.expired: a test delivery of `doctor --prove` is repeated, or the clocks differ")
            await answer(send, 401)
            return True
        if verified is None:
            return False
        try:
            outcome, is_accepted = await self._outcome(scope, receive)
        except ClientDisconnected:
            return True
        outcome, times = await self._recorded(verified.challenge, outcome, is_accepted=is_accepted)
        logger.info(
            "proof.answered case=%s status=%d reason=%s", verified.challenge.case, outcome.status, outcome.reason
        )
        await answer(send, outcome.status, verified.answer(outcome, times).encode())
        return True

    def _verified(self, scope: Scope) -> VerifiedChallenge | None:
        for token in _tokens(scope):
            if (verified := self._verifier.read(token)) is not None:
                return verified
        return None

    async def _outcome(self, scope: Scope, receive: Receive) -> tuple[ProofOutcome, bool]:
        """The outcome of such a delivery before it is stored, and whether it would be stored."""
        try:
            delivery = await self._endpoint.verify(scope, receive)
        except RequestRefused as refused:
            return _outcome(refused.status, refused.reason, refused.body), False
        except BodyInvalid as invalid:
            return _outcome(invalid.status, invalid.reason, invalid.delivery.body), True
        return _outcome(202, "accepted", delivery.body), True

    async def _recorded(
        self, challenge: Challenge, outcome: ProofOutcome, *, is_accepted: bool
    ) -> tuple[ProofOutcome, int]:
        """Record an outcome instead of storing the delivery; returns the number of deliveries of its case."""
        if is_accepted and not self._is_ready():
            outcome = msgspec.structs.replace(outcome, status=503, reason="not_ready")
        try:
            times = await self._record(challenge.nonce, challenge.case, msgspec.json.encode(outcome))
        except (RedisError, TimeoutError) as error:
            if is_accepted:
                outcome = msgspec.structs.replace(outcome, status=503, reason=f"redis: {type(error).__name__}")
            return outcome, -1
        if times > 1 and outcome.status == 202:
            outcome = msgspec.structs.replace(outcome, status=200, reason="duplicate")
        return outcome, times


def _tokens(scope: Scope) -> list[str]:
    """Possible challenges: in the query, and in a header."""
    query = scope["query_string"].decode("latin-1")
    try:
        tokens = [value for name, value in parse_qsl(query, max_num_fields=10) if name == QUERY_PARAMETER]
    except ValueError:  # more fields
        tokens = []
    value = header(scope["headers"], PROOF_HEADER)
    return tokens[:1] + ([] if value is None else [value.decode("latin-1")])


def _outcome(status: int, reason: str, body: bytes | None) -> ProofOutcome:
    if body is None:
        return ProofOutcome(status=status, reason=reason)
    return ProofOutcome(status=status, reason=reason, length=len(body), digest=hashlib.sha256(body).hexdigest())
