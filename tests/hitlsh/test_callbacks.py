"""Callback tokens: what was minted is read, and nothing else."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from hitlsh.callbacks import (
    LARGEST_STATE,
    LONGEST_TOKEN,
    CallbackInvalid,
    CallbackSigner,
    StateInvalid,
    StateTooLarge,
)

OLD, NEW = "an older key of many letters", "a newer key of many letters"
NOON = 1_780_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def signer(*keys: str, **options: Any) -> CallbackSigner:
    return CallbackSigner(keys or (NEW,), **options)


def reason(token: str, reader: CallbackSigner | None = None) -> str:
    with pytest.raises(CallbackInvalid) as refused:
        (reader or signer()).read(token)
    return refused.value.reason


@pytest.mark.parametrize("state", [None, False, 0, "", [], {}, "é\x00😀", {"order": 88, "tags": ["a", None, 1.5]}])
def test_a_state_comes_back_as_it_was_given(state: Any) -> None:
    read = signer().read(signer().mint(state))

    assert read.state == state
    assert type(read.state) is type(state)


def test_each_token_has_an_id_and_a_time() -> None:
    clock = Clock()
    minted = [signer(clock=clock) for _ in range(2)]

    one, other = (each.read(each.mint()) for each in minted)

    assert one.id != other.id
    assert len(one.id) == 22
    assert one.minted_at == datetime.fromtimestamp(NOON, UTC)


def test_a_key_still_listed_still_verifies_and_the_last_one_signs() -> None:
    minted_before = signer(OLD).mint("before")
    rotated = signer(OLD, NEW)

    assert rotated.read(minted_before).state == "before"
    assert signer(NEW).read(rotated.mint("after")).state == "after"
    assert reason(minted_before, signer(NEW)) == "callback_forged"


def test_a_token_of_one_purpose_is_forged_for_another() -> None:
    token = signer(purpose="survey").mint("state")

    assert signer(purpose="survey").read(token).state == "state"
    assert reason(token) == "callback_forged"
    assert reason(signer().mint(), signer(purpose="survey")) == "callback_forged"


def test_a_token_expires() -> None:
    clock = Clock()
    reader = signer(max_age=timedelta(days=1), clock=clock)
    token = reader.mint()

    clock.now += 86_400
    reader.read(token)
    clock.now += 1

    assert reason(token, reader) == "callback_expired"


def test_a_token_outlives_a_deferred_request_by_default() -> None:
    clock = Clock()
    reader = signer(clock=clock)
    token = reader.mint()

    clock.now += timedelta(days=35).total_seconds()

    assert reader.read(token).state is None


def test_a_token_of_a_machine_whose_clock_is_ahead_is_ours() -> None:
    clock = Clock()
    reader = signer(clock=clock)
    token = reader.mint("soon")

    clock.now -= 90

    assert reader.read(token).state == "soon"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é.b.c",
        "a b.c.d",
        "a.b.c\n",
        "\ud800.b.c",
        "٣.٣.٣",
        "\x00",
        "a" * 1_000_000,
        "a." * 500_000,
        ".a.b.c",
        "a.b.c" + "c" * LONGEST_TOKEN,
    ],
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert reason(token) == "callback_malformed"


def test_a_changed_token_is_forged() -> None:
    payload, minted_at, signature = signer().mint("x").split(".")

    assert reason(f"{payload}A.{minted_at}.{signature}") == "callback_forged"
    assert reason(f"{payload}.A{minted_at}.{signature}") == "callback_forged"
    assert reason(f"{payload}.{minted_at}.A{signature[1:]}B") == "callback_forged"


@given(st.text())
def test_any_text_is_refused_with_a_reason(token: str) -> None:
    assert reason(token) in {"callback_malformed", "callback_forged"}


@given(st.from_regex(r"[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,50}", fullmatch=True))
def test_anything_that_looks_like_a_token_is_refused_with_a_reason(token: str) -> None:
    assert reason(token) in {"callback_malformed", "callback_forged"}


def test_a_compressed_payload_is_never_unpacked_even_with_our_key() -> None:
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    serializer = URLSafeTimedSerializer(NEW, salt="hitl-receiver.callback", signer_kwargs=options)

    token = str(serializer.dumps(["id", "0" * 100_000]))

    assert token.startswith(".")
    assert reason(token) == "callback_malformed"


@pytest.mark.parametrize("payload", ["bm90IGpzb24", "WzFd", "e30", "A", "_w", "WyL_IiwxXQ"])
def test_a_signed_payload_of_another_shape_is_malformed(payload: str) -> None:
    own = TimestampSigner(NEW, salt="hitl-receiver.callback", key_derivation="hmac", digest_method=hashlib.sha256)

    assert reason(own.sign(payload).decode()) == "callback_malformed"


def test_the_largest_state_fits_and_one_more_byte_is_refused() -> None:
    token = signer().mint("x" * (LARGEST_STATE - 2))

    assert len(token) <= LONGEST_TOKEN
    assert signer().read(token).state == "x" * (LARGEST_STATE - 2)
    with pytest.raises(StateTooLarge, match=r"2049 bytes.*2048"):
        signer().mint("x" * (LARGEST_STATE - 1))


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else []


@pytest.mark.parametrize(
    "state",
    [
        object(),
        {1: "a"},
        (1, 2),
        {"at": datetime.now(UTC)},
        {1, 2},
        b"x",
        float("nan"),
        float("inf"),
        "\ud800",
        nested(100),
        [(1,)],
        lambda: 1,
    ],
)
def test_a_state_that_is_not_json_is_refused(state: Any) -> None:
    with pytest.raises(StateInvalid, match="plain JSON"):
        signer().mint(state)


@pytest.mark.parametrize("keys", [[], [""], ["short"], [NEW, ""], NEW])
def test_a_missing_or_weak_key_is_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="token_urlsafe"):
        CallbackSigner(keys)


def test_nothing_secret_is_shown() -> None:
    maker = signer(OLD, NEW)
    token = maker.mint({"customer": "Odile"})

    shown = f"{maker!r} {maker.read(token)!r}"

    assert not any(secret in shown for secret in (OLD, NEW, token, "Odile"))


def test_the_url_lies_below_the_public_address() -> None:
    assert CallbackSigner.url("https://h.example/app/", "t.o.k") == "https://h.example/app/callbacks/t.o.k"


@pytest.mark.parametrize("address", ["", "h.example", "ftp://h.example", "https://", "https://h?x=1", "https://h/#a"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        CallbackSigner.url(address, "t.o.k")
