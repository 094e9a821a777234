"""The URL of a hook is a password: logs, errors and reprs do not disclose it."""

import logging
import shutil
import ssl
import subprocess
import traceback
from pathlib import Path

import pytest

from tests.workers.sinks.target import Script, Target, hang_up, reply, stall, target
from workers.errors import NotDelivered, WorkersError
from workers.sinks import Slack, Webhook
from workers.testing import completed

PATH = "/services/T0SECRET1/p4ssword?token=t0ken-t0ken"
WORDS = ("T0SECRET1", "p4ssword", "t0ken-t0ken")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "script",
    [
        hang_up, stall, reply(404, f"Cannot POST {PATH}".encode()), reply(500, b"T0SECRET1"),
        reply(429, b"t0ken-t0ken", Retry_After="9"), reply(302, Location=PATH),
    ],
)  # fmt: skip
async def test_no_reason_and_no_traceback_shows_more_than_the_host(hook: Target, script: Script) -> None:
    hook.answer(script)

    with pytest.raises(WorkersError) as raised:
        await Webhook(hook.url + PATH, timeout=0.3).send(completed())

    assert "127.0.0.1" in shown(raised.value)
    assert not any(word in shown(raised.value) for word in WORDS)


async def test_no_log_shows_the_path_at_any_level(hook: Target, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    await Webhook(hook.url + PATH).send(completed())

    assert hook.received[0].path == PATH
    assert not any(word in caplog.text for word in WORDS)


def test_no_repr_shows_more_than_the_host() -> None:
    url = f"https://user:hunter22@hooks.example.com{PATH}"

    shown = [repr(Webhook(url, headers={"X-Key": "p4ssword"})), repr(Slack(url, "hello")), Webhook(url).name]

    assert shown == ["<Webhook hooks.example.com, unsigned>", "<Slack hooks.example.com>", "webhook-hooks.example.com"]


async def test_connections_are_used_again(hook: Target) -> None:
    sink = Webhook(hook.url)

    for _ in range(5):
        await sink.send(completed())

    assert (len(hook.received), hook.connections) == (5, 1)


async def test_cookies_of_a_target_are_not_sent_back(hook: Target) -> None:
    hook.answer(reply(200, Set_Cookie="seen=1; Path=/"))
    sink = Webhook(hook.url)

    await sink.send(completed())
    await sink.send(completed())

    assert "cookie" not in hook.received[1].headers


@pytest.mark.slow
async def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    async with target(_self_signed(tmp_path)) as hook:
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            await Webhook(hook.url).send(completed())

    assert hook.received == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
