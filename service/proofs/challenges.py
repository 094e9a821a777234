"""The two messages of a proof, both signed: a challenge, which marks a test delivery, and its answer. Pure.

Each secret that verifies deliveries gives three keys that are good for nothing else (`CallbackSigner` derives a key
for each purpose): one signs challenges, one signs answers, and for callback URLs one signs the tokens of test
deliveries. So a challenge is no answer, and nothing that a test delivery shows can be used as a callback URL.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from hitlsh.callbacks import CallbackInvalid, CallbackSigner
from service.errors import ServiceError

#: The endpoint of a delivery.
Channel = Literal["webhook", "callback"]

#: A test delivery carries its challenge in its query and in a header, because proxies may drop either.
QUERY_PARAMETER = "hitl-proof"
#: Seconds for which a challenge is valid, by the clock of the web process.
CHALLENGE_LIFE = 300.0
_LONGEST_NAME = 64


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of a test delivery."""

    #: 128 random bits in base64, one value for each run of `doctor --prove`.
    nonce: str
    #: The name of the test delivery.
    case: str


class ProofOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a test delivery, as it is recorded in Redis."""

    #: The status and reason of the answer.
    status: int
    reason: str
    #: Bytes of the body as it arrived and its SHA-256 in hex; None if it was not read.
    length: int | None = None
    digest: str | None = None


class ProofAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the web process to a challenge that it verified."""

    challenge: Challenge
    outcome: ProofOutcome
    #: Deliveries of the case in the record in its Redis; 0: there is no such record; -1: Redis does not answer.
    times: int


class ChallengeExpired(ServiceError):
    """A challenge is genuine but too old."""


class ChallengeVerifier:
    """The side of the web process, for one channel."""

    def __init__(self, channel: Channel, secrets: Sequence[str]) -> None:
        self._signers = [(_challenge_signer(channel, secret), _answer_signer(channel, secret)) for secret in secrets]

    def read(self, token: str) -> "VerifiedChallenge | None":
        """The challenge in a token; None if no secret of ours signed it. Raises `ChallengeExpired`."""
        verified: VerifiedChallenge | None = None
        is_expired = False
        for challenges, answers in self._signers:
            try:
                state = challenges.read(token).state
            except CallbackInvalid as error:
                is_expired |= error.reason == "callback_expired"
            else:
                if (challenge := _challenge(state)) is not None:
                    verified = VerifiedChallenge(challenge, answers)
        if verified is None and is_expired:
            raise ChallengeExpired
        return verified


class VerifiedChallenge:
    """A challenge, and the key that signs its answer."""

    def __init__(self, challenge: Challenge, answers: CallbackSigner) -> None:
        self.challenge = challenge
        self._answers = answers

    def answer(self, outcome: ProofOutcome, times: int) -> str:
        """The signed answer."""
        answer = ProofAnswer(challenge=self.challenge, outcome=outcome, times=times)
        return self._answers.mint(msgspec.to_builtins(answer))


class Challenger:
    """The side of doctor, for one secret."""

    def __init__(self, channel: Channel, secret: str) -> None:
        self._challenges = _challenge_signer(channel, secret)
        self._answers = _answer_signer(channel, secret)

    def challenge(self, challenge: Challenge) -> str:
        """A token for one test delivery."""
        return self._challenges.mint(msgspec.to_builtins(challenge))

    def read_answer(self, text: str, challenge: Challenge) -> ProofAnswer | None:
        """The answer to this challenge; None if it is not one."""
        try:
            answer = msgspec.convert(self._answers.read(text.strip()).state, ProofAnswer)
        except (CallbackInvalid, msgspec.ValidationError):
            return None
        return answer if answer.challenge == challenge else None


def path_signer(secrets: Sequence[str], **options: Any) -> CallbackSigner:
    """Signs the tokens in the paths of test deliveries; `options`: those of `CallbackSigner`."""
    return CallbackSigner(secrets, purpose="proof.path", **options)


def _challenge_signer(channel: Channel, secret: str) -> CallbackSigner:
    return CallbackSigner([secret], purpose=f"proof.challenge.{channel}", max_age=CHALLENGE_LIFE)


def _answer_signer(channel: Channel, secret: str) -> CallbackSigner:
    return CallbackSigner([secret], purpose=f"proof.answer.{channel}", max_age=CHALLENGE_LIFE)


def _challenge(state: object) -> Challenge | None:
    try:
        challenge = msgspec.convert(state, Challenge)
    except msgspec.ValidationError:
        return None
    fits = all(name.isascii() and 0 < len(name) <= _LONGEST_NAME for name in (challenge.nonce, challenge.case))
    return challenge if fits else None
