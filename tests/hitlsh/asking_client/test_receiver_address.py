"""The receiver's URL and the token, from arguments and the environment."""

import pytest

from hitlsh import Hitl, HitlMisconfigured

TOKEN = "a-token-of-the-tests-01"


@pytest.mark.parametrize(
    "url",
    [
        "https://receiver.example.com",
        "https://example.com/hitl/",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://receiver:8000",
        "http://10.1.2.3:8000",
        "http://receiver.prod.svc:8000",
        "http://receiver.corp.internal",
    ],
)
def test_an_address_is_taken(url: str) -> None:
    with Hitl(url, TOKEN) as hitl:
        assert repr(hitl) == f"Hitl(url={url.rstrip('/')!r}, token='***')"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not set"),
        ("receiver.example.com", "is no address"),
        ("ftp://receiver.example.com", "is no address"),
        ("https://receiver.example.com/?a=b", "is no address"),
        ("https://user:secret@receiver.example.com", "holds a user name"),
        ("http://receiver.example.com", "would send the token in clear"),
        ("http://93.184.216.34", "would send the token in clear"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(HitlMisconfigured, match=message) as refused:
        Hitl(url, TOKEN)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("token", "message"), [("", "is not set"), ("a token", "holds a blank"), ("a\n", "blank")])
def test_a_token_that_cannot_be_used_is_refused(token: str, message: str) -> None:
    with pytest.raises(HitlMisconfigured, match=message):
        Hitl("http://localhost:8000", token)


def test_both_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_RECEIVER_URL", "http://localhost:8000/")
    monkeypatch.setenv("HITL_RECEIVER_TOKEN", TOKEN)

    with Hitl() as hitl:
        assert repr(hitl) == "Hitl(url='http://localhost:8000', token='***')"
    monkeypatch.delenv("HITL_RECEIVER_TOKEN")
    with pytest.raises(HitlMisconfigured, match="HITL_RECEIVER_TOKEN is not set"):
        Hitl()
