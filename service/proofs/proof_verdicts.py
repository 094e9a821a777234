"""Findings about the path to the receiver, from the answers to test deliveries. No I/O."""

import hashlib

import msgspec

from service.doctor.findings import Finding, error, ok, warning
from service.proofs.challenges import Channel, ProofAnswer, ProofOutcome
from service.proofs.proof_deliveries import Case, ProofDelivery

_KINDS: dict[Channel, str] = {"webhook": "Account webhooks", "callback": "Callback URLs"}
_SETTINGS: dict[Channel, str] = {"webhook": "HITL_WEBHOOK_SECRETS", "callback": "HITL_CALLBACK_SECRETS"}
_NAMES: dict[Case, str] = {
    "valid": "a valid delivery",
    "repeated": "the same delivery again",
    "forged": "a forged delivery",
    "late": "a delivery to an expired callback URL",
    "malformed": "a delivery that is no JSON",
    "largest": "a body of HITL_MAX_BODY bytes",
    "oversized": "a larger body",
}
_CHECK_ADDRESS = "Check the address, its name in DNS, and what the proxy in front passes on to."
_SEE_SERVE = "See the log of `hitl-receiver serve`, and `hitl-receiver doctor` about Redis."
_PROXY = "Find what stands between here and the receiver, and have it pass requests on unchanged."


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a test delivery."""

    status: int
    #: The target of a redirect.
    location: str | None = None
    #: None if the reply does not prove who answered.
    answer: ProofAnswer | None = None


class NoReply(msgspec.Struct, frozen=True, kw_only=True):
    """No reply was received."""

    #: The reason, for a person.
    reason: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The record of the receiver in our Redis."""

    outcome: ProofOutcome
    times: int


def is_proven(reply: Reply | NoReply, record: Record | None) -> bool:
    """Whether the process that answered has our secret and our Redis."""
    return isinstance(reply, Reply) and reply.answer is not None and record is not None


def judge_first(
    channel: Channel, url: str, delivery: ProofDelivery, reply: Reply | NoReply, record: Record | None
) -> Finding:
    """Whether the receiver behind a URL is ours, and a valid delivery arrives as it was sent."""
    kind = _KINDS[channel]
    if isinstance(reply, NoReply):
        if record is not None:
            text = f"{kind}: {url} reaches this receiver, but no answer comes back ({reply.reason})."
            return error("prove.identity", text, "Give the proxy in front a timeout of 15 seconds or more.")
        fix = "See that `hitl-receiver serve` runs, and check the proxy in front: name, certificate, port and firewall."
        return error("prove.identity", f"{kind}: {url} does not answer ({reply.reason}).", fix)
    if reply.answer is None:
        if record is not None:
            text = (
                f"{kind}: {url} leads to this receiver, and something replaces its answers on the way ({reply.status})."
            )
            return error("prove.identity", text, _PROXY)
        return _judge_stranger(channel, url, reply)
    if record is None:
        if reply.answer.times < 0:
            text = f"{kind}: {url} leads to a receiver with this secret, whose Redis does not answer."
            return error("prove.identity", text, _SEE_SERVE)
        text = f"{kind}: {url} leads to a receiver with this secret, but with another Redis than REDIS_URL here."
        return error(
            "prove.identity",
            text,
            "Give both the same REDIS_URL; or it is the address of another installation.",
        )
    return _judge_arrival(channel, url, delivery, reply, reply.answer)


def judge_secret(channel: Channel, number: int, count: int, reply: Reply | NoReply, record: Record | None) -> Finding:
    """Whether the receiver accepts an earlier secret too."""
    name = f"{_KINDS[channel]}: secret {number} of {count}"
    if is_proven(reply, record):
        return ok("prove.secrets", f"{name} is accepted.")
    status = reply.status if isinstance(reply, Reply) else reply.reason
    text = f"{name} of {_SETTINGS[channel]} is not accepted ({status})."
    return warning("prove.secrets", text, f"Give `hitl-receiver serve` the same {_SETTINGS[channel]}, and restart it.")


def judge_newest_unknown(channel: Channel, number: int, count: int) -> Finding:
    """The receiver has an earlier secret and not the newest."""
    text = f"{_KINDS[channel]}: the receiver has secret {number} of {count}, and not the newest."
    return error("prove.secrets", text, f"Give `hitl-receiver serve` the same {_SETTINGS[channel]}, and restart it.")


def judge_other(channel: Channel, delivery: ProofDelivery, reply: Reply | NoReply, record: Record | None) -> Finding:
    """Whether one of the other test deliveries was answered as expected."""
    check = f"prove.{delivery.case}"
    name = f"{_KINDS[channel]}: {_NAMES[delivery.case]}"
    decided = reply.answer.outcome if isinstance(reply, Reply) and reply.answer is not None else None
    if decided is None and record is not None:
        decided = record.outcome
    if decided is None:
        return _judge_unproven(check, name, delivery, reply)
    if delivery.case == "repeated" and record is not None and record.times < 2:
        text = f"{name} does not reach the receiver: something on the way answers it from its memory."
        return warning(check, text, "Turn the cache of the proxy off for this address.")
    if delivery.case in ("largest", "oversized") and decided.status != delivery.expected:
        return _judge_limit(check, name, decided)
    if decided.status != delivery.expected:
        text = f"{name} is answered {decided.status} ({decided.reason}), not {delivery.expected}."
        return error(check, text, "Compare the versions of hitl-receiver here and there, and see the log of `serve`.")
    if isinstance(reply, NoReply):
        text = f"{name} is answered {decided.status}, and the answer does not come back ({reply.reason})."
        # A receiver that refuses a body does not read it, and the connection may end while it is sent.
        return ok(check, text) if decided.status == 413 else warning(check, text, _PROXY)
    if reply.status != decided.status:
        text = f"{name} is answered {decided.status}, and something on the way makes that {reply.status}."
        return warning(check, text, "Have the proxy pass answers on: HITL.sh goes by their status.")
    if (change := _change(delivery.body, decided)) is not None:
        return warning(check, f"{name} is answered {decided.status}, but {change}.", _PROXY)
    return ok(check, f"{name} is answered {decided.status}.")


def _judge_stranger(channel: Channel, url: str, reply: Reply) -> Finding:
    """The sender of the reply has not proved that it has our secret."""
    kind, setting, status = _KINDS[channel], _SETTINGS[channel], reply.status
    text = f"{kind}: {url} answers {status} without a proof"
    if 300 <= status < 400:
        text = f"{kind}: {url} redirects to {reply.location or 'nowhere'} ({status})."
        fix = "Set HITL_PUBLIC_URL to the address that it leads to: HITL.sh does not say that it follows redirects."
    elif status < 300:
        text = f"{text}: another program, or an old version of this one. It takes deliveries and loses them."
        fix = _CHECK_ADDRESS
    elif status == 401:
        text = f"{text}: a receiver with another secret, or the two clocks differ by more than 5 minutes."
        fix = f"Compare {setting} here and there, and restart `serve`; then look at both clocks."
    elif status in (404, 405):
        text = f"{text}: nothing takes deliveries there."
        fix = f"See that {setting} is set for `hitl-receiver serve`, and that the proxy passes this path on."
    elif status in (502, 503, 504):
        text = f"{text}: a proxy does not reach the receiver, or the receiver is overloaded."
        fix = "See that `hitl-receiver serve` runs, and where the proxy looks for it."
    else:
        text = f"{text}: something on the way refuses it."
        fix = "See the log of the proxy or firewall in front; POST requests of HITL.sh must pass without a login."
    return error("prove.identity", text, fix)


def _judge_arrival(channel: Channel, url: str, delivery: ProofDelivery, reply: Reply, answer: ProofAnswer) -> Finding:
    """The receiver is ours; whether the delivery is as it was sent."""
    outcome = answer.outcome
    subject = f"{_KINDS[channel]}: {url} leads to this receiver"
    change = _change(delivery.body, outcome)
    if answer.times > 1:
        text = f"{subject}, but one delivery arrived {answer.times} times: something on the way repeats it."
        return warning("prove.accepted", text, _PROXY)
    if outcome.status == delivery.expected == reply.status:
        if change is not None:
            return warning("prove.accepted", f"{subject}, but {change}.", _PROXY)
        return ok(
            "prove.identity",
            f"{subject}: it has this secret and this Redis. It answers a valid delivery with {reply.status}.",
        )
    if outcome.status == delivery.expected:
        text = f"{subject}, but its answer {outcome.status} becomes {reply.status} on the way."
        return error("prove.accepted", text, _PROXY)
    if outcome.status == 503:
        text = f"{subject}, which does not take deliveries now ({outcome.reason})."
        return error("prove.accepted", text, _SEE_SERVE)
    cause = change or _CAUSES.get(outcome.reason, f"a valid delivery is refused ({outcome.status} {outcome.reason})")
    return error("prove.accepted", f"{subject}, but {cause}.", _PROXY)


#: What happened to a valid delivery that is refused for these reasons.
_CAUSES = {
    "signature_missing": "something on the way removes the header X-HITL-Signature-256, so that all are refused",
    "signature_malformed": "something on the way changes the header X-HITL-Signature-256, so that all are refused",
    "signature_duplicated": "something on the way repeats the header X-HITL-Signature-256, so that all are refused",
    "signature_mismatch": "something on the way changes the header X-HITL-Signature-256, so that all are refused",
    "callback_malformed": "something on the way changes the path, so that no callback URL is valid",
    "callback_forged": "something on the way changes the path, so that no callback URL is valid",
    "unsupported_type": "something on the way changes the header Content-Type, so that all are refused",
    "unsupported_encoding": "something on the way compresses bodies, so that all are refused",
    "body_too_slow": "the body arrives too slowly, so that all are refused",
    "body_too_large": "its HITL_MAX_BODY is smaller than a few hundred bytes",
}


def _judge_unproven(check: str, name: str, delivery: ProofDelivery, reply: Reply | NoReply) -> Finding:
    """The receiver has not received it: another program on the way has answered."""
    if isinstance(reply, NoReply):
        return warning(check, f"{name} gets no answer, and does not reach the receiver ({reply.reason}).", _PROXY)
    if delivery.case == "oversized" and reply.status == 413:
        return ok(check, f"{name} is answered 413, by something in front of the receiver.")
    if delivery.case == "largest":
        text = f"{name} does not reach the receiver: something in front answers {reply.status}."
        fix = "Raise the limit of the proxy (`client_max_body_size` in nginx), or lower HITL_MAX_BODY to it."
        return warning(check, text, fix)
    text = f"{name} does not reach the receiver: something in front answers {reply.status}, not {delivery.expected}."
    return warning(check, text, "See the log of the proxy or firewall in front: HITL.sh goes by these statuses.")


def _judge_limit(check: str, name: str, decided: ProofOutcome) -> Finding:
    text = f"{name} is answered {decided.status} ({decided.reason}): the receiver has another HITL_MAX_BODY."
    return warning(check, text, "Give both the same HITL_MAX_BODY.")


def _change(body: bytes, outcome: ProofOutcome) -> str | None:
    """How the body that arrived differs from the one that was sent; None if it does not, or was not read."""
    if outcome.digest is None or outcome.digest == hashlib.sha256(body).hexdigest():
        return None
    arrived = "others" if outcome.length == len(body) else f"{outcome.length:,}"
    return f"something on the way changes the body: {len(body):,} bytes were sent and {arrived} arrived"
