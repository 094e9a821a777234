from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import RouteInvalid
from workers.sinks.hook_url import HookUrl


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "a.localhost", "n8n", "n8n:5678", "127.0.0.1:9", "[::1]:9", "10.1.2.3", "192.168.0.7",
        "172.20.0.2", "100.64.0.1", "[fd00::1]", "crm.internal",
        "n8n.default.svc.cluster.local", "nas.home.arpa",
    ],
)  # fmt: skip
def test_plain_http_is_for_private_hosts(host: str) -> None:
    assert HookUrl(f"http://{host}/x", sink="Webhook").host == host


@pytest.mark.parametrize("host", ["hooks.example.com", "8.8.8.8", "[2606:4700::1111]", "local.example.com"])
def test_plain_http_to_the_public_is_refused(host: str) -> None:
    with pytest.raises(RouteInvalid, match="use https://") as refused:
        HookUrl(f"http://{host}/p4ssword", sink="Webhook")
    assert "p4ssword" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "", None, 3, b"https://a.example", "hooks.example.com/p4ssword", "ftp://a.example/p4ssword", "https:///p4ssword",
        "https://a.example:port/p4ssword", " https://a.example/p4ssword", "https://a.example/p4ssword\n", "//a.example",
    ],
)  # fmt: skip
def test_an_invalid_url_is_refused_and_not_shown(url: Any) -> None:
    with pytest.raises(RouteInvalid, match="Webhook") as refused:
        HookUrl(url, sink="Webhook")
    assert "p4ssword" not in str(refused.value)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            assert HookUrl(url, sink="Webhook").host
        except RouteInvalid:
            continue


def test_the_parts_of_the_address_are_hidden_in_every_spelling() -> None:
    url = HookUrl("https://user:hunter22@a.example/hook/se%20cret-1?key=v%26lue-22&x=1", sink="Webhook")

    hidden = url.redact("no /hook/se%20cret-1, se cret-1 hunter22 v&lue-22 v&amp;lue-22 v%26lue-22, x=1 hook")

    assert hidden == "no …, … … … … …, x=1 hook"


def test_the_digest_distinguishes_urls_without_disclosing_them() -> None:
    digests = {HookUrl(f"https://a.example/{path}", sink="Webhook").digest for path in ("one", "two", "two")}

    assert len(digests) == 2
