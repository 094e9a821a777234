"""`doctor --prove`: posts test deliveries to a URL, and reads their outcomes in Redis."""

import secrets
import time
from collections.abc import Iterator

import httpx
import msgspec
from redis import Redis
from redis.exceptions import RedisError

from hitlsh.api.http import http_transport
from service.doctor.findings import Finding, error, ok
from service.proofs.challenges import Challenger, Channel, ProofOutcome
from service.proofs.proof_deliveries import LARGEST_BODY, ProofDelivery, ProofDeliveryBuilder
from service.proofs.proof_verdicts import (
    NoReply,
    Record,
    Reply,
    is_proven,
    judge_first,
    judge_newest_unknown,
    judge_other,
    judge_secret,
)
from workers.inbox.operations import proofs
from workers.redis_checks import address
from workers.settings import Settings

#: Seconds to wait for an answer; HITL.sh waits for 10, and another page says 30 (https://docs.hitl.sh, "Webhooks").
SECONDS = 15.0
#: Bytes of the largest reply that is read: an answer has a few hundred.
_LONGEST_REPLY = 16_384
_decode_outcome = msgspec.json.Decoder(ProofOutcome).decode


class Prover:
    """Proves one URL."""

    def __init__(self, settings: Settings, url: str, redis: Redis, *, seconds: float = SECONDS) -> None:
        self._settings = settings
        self._url = url.rstrip("/")
        self._shown_url = address(self._url)
        self._redis = redis
        self._nonce = secrets.token_urlsafe(16)
        self._seconds = seconds

    def prove(self) -> Iterator[Finding]:
        """Post the test deliveries of each channel that has a secret here."""
        configured: dict[Channel, tuple[str, ...]] = {
            "webhook": self._settings.webhook_secrets,
            "callback": self._settings.callback_secrets,
        }
        if not any(configured.values()):
            yield error(
                "prove.secrets",
                "Neither HITL_WEBHOOK_SECRETS nor HITL_CALLBACK_SECRETS is set here, so nothing can be proved.",
                "Run it with the settings of `hitl-receiver serve`.",
            )
            return
        try:
            proofs.begin(self._redis, self._nonce)
            try:
                with self._client() as client:
                    for channel, channel_secrets in configured.items():
                        yield from self._prove_channel(client, channel, channel_secrets)
            finally:
                proofs.end(self._redis, self._nonce)
        except RedisError as failure:
            yield error(
                "prove.redis",
                f"{address(self._settings.redis_url)} cannot be used ({type(failure).__name__}: {failure}), and the "
                "proof needs the Redis of the receiver.",
                "Run `hitl-receiver doctor --only redis`.",
            )

    def _client(self) -> httpx.Client:
        options = http_transport.options(self._url, self._seconds)
        return httpx.Client(**options)

    def _prove_channel(
        self, client: httpx.Client, channel: Channel, channel_secrets: tuple[str, ...]
    ) -> Iterator[Finding]:
        if not channel_secrets:
            name = "HITL_WEBHOOK_SECRETS" if channel == "webhook" else "HITL_CALLBACK_SECRETS"
            yield ok("prove.secrets", f"Not proved, because {name} is not set here: {channel} deliveries.")
            return
        count = len(channel_secrets)
        builders = [
            ProofDeliveryBuilder(channel, secret, self._nonce, max_body=self._settings.max_body)
            for secret in channel_secrets
        ]
        newest = builders[-1]
        valid = newest.valid()
        reply, record = self._post(client, newest.challenger, valid)
        arrival = judge_first(channel, self._shown_url, valid, reply, record)
        yield arrival
        is_ours = is_proven(reply, record)
        is_refused = not is_ours and isinstance(reply, Reply) and reply.status == 401
        if arrival.level != "ok" and not is_refused:  # what is wrong with a valid delivery is wrong with all others
            return
        for number, builder in enumerate(builders[:-1], 1):
            earlier = self._post(client, builder.challenger, builder.valid(f"secret-{number}"))
            if is_ours:
                yield judge_secret(channel, number, count, *earlier)
            elif is_proven(*earlier):
                yield judge_newest_unknown(channel, number, count)
        if is_refused:
            return
        for delivery in newest.following(valid):
            yield judge_other(channel, delivery, *self._post(client, newest.challenger, delivery))
        if self._settings.max_body > LARGEST_BODY:
            yield ok("prove.largest", f"Not tried: HITL_MAX_BODY is {self._settings.max_body:,} bytes.")

    def _post(
        self, client: httpx.Client, challenger: Challenger, delivery: ProofDelivery
    ) -> tuple[Reply | NoReply, Record | None]:
        """Post a test delivery; returns what came back, and what the receiver recorded."""
        reply = self._reply(client, challenger, delivery)
        recorded = proofs.read(self._redis, self._nonce).get(delivery.challenge.case)
        if recorded is None:
            return reply, None
        outcome, times = _decode_outcome(recorded[0]), recorded[1]
        if times > 1 and outcome.status == 202:  # recorded before it is known to be a repetition
            outcome = msgspec.structs.replace(outcome, status=200, reason="duplicate")
        return reply, Record(outcome=outcome, times=times)

    def _reply(self, client: httpx.Client, challenger: Challenger, delivery: ProofDelivery) -> Reply | NoReply:
        url, deadline = f"{self._url}{delivery.path}", time.monotonic() + self._seconds
        try:
            with client.stream("POST", url, content=delivery.body, headers=dict(delivery.headers)) as response:
                text = _read_beginning(response, deadline)
        except httpx.TimeoutException:
            return NoReply(reason=f"no answer within {self._seconds:g} s")
        except (*http_transport.NO_REPLY, httpx.InvalidURL) as failure:
            detail = str(failure).rstrip(".")
            return NoReply(reason=f"{type(failure).__name__}: {detail}" if detail else type(failure).__name__)
        return Reply(
            status=response.status_code,
            location=_origin(response.headers.get("location")),
            answer=challenger.read_answer(text, delivery.challenge),
        )


def _read_beginning(response: httpx.Response, deadline: float) -> str:
    """The body of a reply; empty for one that is too long or comes too slowly to be an answer."""
    received = b""
    for chunk in response.iter_bytes():
        received += chunk
        if len(received) > _LONGEST_REPLY or time.monotonic() > deadline:
            return ""
    return received.decode("ascii", "replace")


def _origin(location: str | None) -> str | None:
    """Where a redirect leads, without the query: it may repeat the challenge, and the path of a callback URL."""
    return None if location is None else location.partition("?")[0].partition("/callbacks/")[0]
