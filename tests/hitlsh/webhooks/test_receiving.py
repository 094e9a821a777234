"""Receiving as a pure function: what it returns, what it raises, and in which order it looks."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hitlsh import signatures, webhooks
from hitlsh.errors import DeliveryRefused, HitlshError
from hitlsh.webhooks import (
    BodyInvalid,
    CallbackInvalid,
    CallbackSigner,
    Event,
    Headers,
    SignatureInvalid,
    Unreadable,
    receive,
    receive_callback,
)

SAMPLES = Path(__file__).parents[2] / "samples"
VECTORS = json.loads((SAMPLES / "signatures.json").read_bytes())
EVENTS = json.loads((SAMPLES / "index.json").read_bytes())
SECRET = "whsec_the_newest_of_two"
NOW = 1_800_000_000.0
SIGNER = CallbackSigner(["callback_key_for_tests"], clock=lambda: NOW)
BODY = (SAMPLES / "callback-v2.completed.boolean.json").read_bytes()


def signed(body: bytes, **more: str) -> dict[str, str]:
    return signatures.headers(SECRET, body) | {name.replace("_", "-"): value for name, value in more.items()}


@pytest.mark.parametrize("sample", VECTORS["hex"])
def test_a_signed_sample_is_an_event(sample: str) -> None:
    body = (SAMPLES / sample).read_bytes()
    headers = {"X-HITL-Signature-256": f"sha256={VECTORS['hex'][sample]}", "Content-Type": "application/json"}

    delivery = receive(headers, body, secrets=[VECTORS["secret"]])

    assert isinstance(delivery.event, Event)
    assert (delivery.body, delivery.trust, delivery.callback) == (body, "signed", None)
    if "key" in EVENTS.get(sample, {}):
        assert delivery.event.key == EVENTS[sample]["key"]


HEX = signatures.sign(SECRET, BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HITL-Signature": HEX},
        {"x-hitl-signature-256": f"SHA256={HEX}"},
        [("X-Hitl-Signature", f" \t{HEX} ")],
        [(b"host", b"x"), (b"X-HITL-Signature", HEX.upper().encode())],
        iter([("X-HITL-Signature", HEX), ("X-HITL-Signature-256", HEX)]),
    ],
)
def test_headers_may_come_in_any_form(headers: Headers) -> None:
    assert receive(headers, BODY, secrets=["another", SECRET]).trust == "signed"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        ({"X-HITL-Signature": ""}, "signature_malformed"),
        ({"X-HITL-Signature": "\N{ARABIC-INDIC DIGIT ONE}" * 64}, "signature_malformed"),
        ({"X-HITL-Signature": f"{HEX}, {HEX}"}, "signature_malformed"),
        ({"X-HITL-Signature": "0" * 64}, "signature_mismatch"),
        ({"X-HITL-Signature": HEX, "x-hitl-signature": HEX}, "signature_duplicated"),
        ([("X-HITL-Signature", HEX), ("X-HITL-Signature", "0" * 64)], "signature_duplicated"),
    ],
)
def test_a_delivery_that_is_not_proven_is_refused(headers: Headers, reason: str) -> None:
    with pytest.raises(SignatureInvalid) as refused:
        receive(headers, BODY, secrets=[SECRET])

    assert (refused.value.reason, refused.value.status) == (reason, 401)


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"x" * 1_000_000])
def test_nothing_of_a_body_is_read_before_it_is_verified(body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        receive({"X-HITL-Signature": HEX, "Content-Type": "text/html"}, body, secrets=[SECRET])


def test_a_verified_form_that_is_unknown_is_a_value() -> None:
    delivery = receive(signed(b'{"new": 1}'), b'{"new": 1}', secrets=[SECRET])

    assert isinstance(delivery.event, Unreadable)
    assert (delivery.event.reason, delivery.body) == ("unknown_shape", b'{"new": 1}')


@pytest.mark.parametrize(
    ("body", "headers", "reason", "status"),
    [
        (b"{", {}, "not_json", 400),
        (BODY, {"Content_Type": "text/html"}, "unsupported_type", 415),
        (BODY, {"Content_Encoding": "gzip"}, "unsupported_encoding", 415),
    ],
)
def test_a_verified_body_that_cannot_be_read_is_kept_by_the_error(
    body: bytes, headers: dict[str, str], reason: str, status: int
) -> None:
    with pytest.raises(BodyInvalid) as refused:
        receive(signed(body, **headers), body, secrets=[SECRET])

    error = refused.value
    assert (error.reason, error.status, error.delivery.body, error.delivery.trust) == (reason, status, body, "signed")


@pytest.mark.parametrize("state", [None, False, {"order": 17}])
def test_a_callback_brings_the_state_back(state: Any) -> None:
    delivery = receive_callback(SIGNER.mint(state), BODY, signer=SIGNER)

    assert isinstance(delivery.event, Event)
    assert delivery.event.response is False
    assert delivery.trust == "callback"
    assert delivery.callback is not None
    assert delivery.callback.state == state


EXPIRED = CallbackSigner(["callback_key_for_tests"], clock=lambda: NOW - 41 * 86_400).mint()
FORGED = CallbackSigner(["some_other_key_of_old"], clock=lambda: NOW).mint()


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "callback_malformed"), (FORGED, "callback_forged"), (EXPIRED, "callback_expired")],
    ids=["malformed", "forged", "expired"],
)
def test_a_token_is_verified_before_the_body_is_read(token: str, reason: str) -> None:
    with pytest.raises(CallbackInvalid) as refused:
        receive_callback(token, b"{", signer=SIGNER)

    assert (refused.value.reason, refused.value.status) == (reason, 401)


def test_a_callback_whose_body_is_not_json_is_400() -> None:
    with pytest.raises(BodyInvalid) as refused:
        receive_callback(SIGNER.mint(7), b"{", signer=SIGNER)

    assert refused.value.status == 400
    assert refused.value.delivery.callback is not None
    assert refused.value.delivery.callback.state == 7


def test_a_compressed_callback_is_415_where_its_headers_are_given() -> None:
    with pytest.raises(BodyInvalid, match="compresses"):
        receive_callback(SIGNER.mint(), BODY, signer=SIGNER, headers={"Content-Encoding": "gzip"})


def test_a_wrong_argument_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="at least one webhook secret"):
        receive(signed(BODY), BODY, secrets=[])
    with pytest.raises(TypeError, match="list of webhook secrets"):
        receive(signed(BODY), BODY, secrets=SECRET)
    with pytest.raises(TypeError, match="must be bytes"):
        receive(signed(BODY), BODY.decode(), secrets=[SECRET])  # type: ignore[arg-type] # what a user may do
    with pytest.raises(TypeError, match="must be bytes"):
        receive_callback(SIGNER.mint(), BODY.decode(), signer=SIGNER)  # type: ignore[arg-type] # as above


def refusals() -> list[DeliveryRefused]:
    delivery = webhooks.VerifiedDelivery(event=Unreadable.of(b"secret", "not_json"), body=b"secret", trust="signed")
    return [SignatureInvalid("signature_mismatch"), CallbackInvalid("callback_expired"), BodyInvalid(delivery)]


@pytest.mark.parametrize("error", refusals(), ids=lambda error: type(error).__name__)
def test_a_refusal_has_one_root_survives_pickling_and_shows_no_body(error: DeliveryRefused) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert isinstance(copy, HitlshError)
    assert (str(copy), copy.reason, copy.status) == (str(error), error.reason, error.status)
    assert "secret'" not in repr(error)
    assert len(str(error)) > 40
