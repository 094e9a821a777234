"""What proves a delivery, and everything that does not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlsh.signatures import SignatureInvalid, header_values, headers, sign, verify

OWN = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared" / "hitl-api" / "payloads"
VECTORS = [
    (file.parent / name, vectors["secret"], signature)
    for file in (OWN / "signatures.json", SHARED / "signatures.json")
    if file.exists()
    for vectors in [json.loads(file.read_bytes())]
    for name, signature in vectors["hex"].items()
]
BODY = b'{"event": "request.completed"}'
SECRET = "a webhook's secret"
GOOD = sign(SECRET, BODY).encode()


def reason(values: list[bytes], secrets: list[str | bytes] | None = None) -> str:
    with pytest.raises(SignatureInvalid) as refused:
        verify([SECRET] if secrets is None else secrets, values, BODY)
    return refused.value.reason


@pytest.mark.parametrize(("file", "secret", "signature"), VECTORS, ids=lambda value: getattr(value, "name", ""))
def test_a_vector_computed_elsewhere_is_verified(file: Path, secret: str, signature: str) -> None:
    body = file.read_bytes()

    assert sign(secret, body) == signature
    verify([secret], [f"sha256={signature}".encode()], body)


@pytest.mark.parametrize("value", [GOOD, b"sha256=" + GOOD, b"SHA256=" + GOOD, GOOD.upper(), b"Sha256=" + GOOD.upper()])
def test_a_signature_counts_with_its_prefix_or_without(value: bytes) -> None:
    verify([SECRET], [value], BODY)


@pytest.mark.parametrize("secrets", [[SECRET], ["new", SECRET], [SECRET, b"old"], [SECRET.encode()]])
def test_any_of_the_secrets_will_do(secrets: list[str | bytes]) -> None:
    verify(secrets, [GOOD], BODY)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"sha256=",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"\n",
        b" " + GOOD,
        b"sha1=" + GOOD,
        b"sha256=sha256=" + GOOD,
        b"g" * 64,
        "é".encode() * 32,
        b"\xff" * 64,
        b"0" * 1_000_000,
        GOOD + b", " + GOOD,
        "\uff10".encode() * 64,
    ],
)
def test_a_malformed_signature_is_refused(value: bytes) -> None:
    assert reason([value]) == "signature_malformed"


def test_no_signature_is_refused() -> None:
    assert reason([]) == "signature_missing"


def test_another_secrets_signature_is_refused() -> None:
    assert reason([GOOD], ["another", b"and another"]) == "signature_mismatch"


def test_where_both_headers_are_given_both_must_fit() -> None:
    verify([SECRET], [GOOD, b"sha256=" + GOOD], BODY)

    assert reason([GOOD, b"0" * 64]) == "signature_mismatch"
    assert reason([b"0" * 64, GOOD]) == "signature_mismatch"


def test_a_header_given_twice_is_refused() -> None:
    twice = [(b"x-hitl-signature", GOOD), (b"x-hitl-signature", GOOD)]

    with pytest.raises(SignatureInvalid) as refused:
        header_values(twice)

    assert refused.value.reason == "signature_duplicated"
    assert reason([GOOD] * 3) == "signature_duplicated"


def test_the_signatures_are_picked_out_of_a_scopes_headers() -> None:
    given = [(b"host", b"x"), (b"x-hitl-signature-256", b"one"), (b"x-hitl-signature", b"two")]

    assert header_values(given) == (b"one", b"two")
    assert header_values([(b"host", b"x")]) == ()


@pytest.mark.parametrize("secrets", [[], [""], [SECRET, ""], [b""]])
def test_a_receiver_without_a_secret_verifies_nothing(secrets: list[str | bytes]) -> None:
    with pytest.raises(ValueError, match="secret"):
        verify(secrets, [GOOD], BODY)


@given(st.text(min_size=1), st.binary())
def test_what_is_signed_is_verified(secret: str, body: bytes) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return

    verify([secret], [value.encode() for value in headers(secret, body).values()], body)


@given(st.binary(min_size=1), st.data())
def test_one_flipped_bit_in_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    signature = sign(SECRET, body).encode()

    with pytest.raises(SignatureInvalid):
        verify([SECRET], [signature], flipped(body, data))


@given(st.data())
def test_one_flipped_bit_in_the_signature_is_refused(data: st.DataObject) -> None:
    changed = flipped(bytes.fromhex(GOOD.decode()), data).hex().encode()

    assert reason([changed]) == "signature_mismatch"


@given(st.binary())
def test_any_header_bytes_are_refused_with_a_reason(value: bytes) -> None:
    assert reason([value]) in {"signature_malformed", "signature_mismatch"}


def flipped(original: bytes, data: st.DataObject) -> bytes:
    bit = data.draw(st.integers(0, len(original) * 8 - 1))
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
