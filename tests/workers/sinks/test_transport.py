"""Addresses that a sink connects to, from the interpreter's audit events. The system resolves names."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpcore
import pytest

from tests.workers.sinks.target import Target, reply
from workers.errors import GiveUp, NotDelivered, RouteInvalid
from workers.sinks import Slack, Webhook
from workers.sinks.transport import first_connection
from workers.testing import completed

#: Sends once to each URL with the asyncio of the standard library, whose sockets report the names and addresses that
#: they are given.
PROGRAM = """
import asyncio, json, sys
from workers.sinks import Webhook
from workers.testing import completed

seen = []
def hear(event, args):
    if event == "socket.getaddrinfo":
        seen.append(["resolve", args[0]])
    elif event == "socket.connect":
        seen.append(["connect", args[1][0]])
sys.addaudithook(hear)
for url in sys.argv[1:]:
    sink, decision = Webhook(url), completed()
    outcome = "sent"
    seen.clear()
    try:
        asyncio.run(sink.send(decision))
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps([outcome, seen]))
"""
#: Spellings that no parser of addresses knows, and that the system's resolver turns into 169.254.169.254.
SPELLINGS = ["2852039166", "0xa9fea9fe", "169.254.43518"]


def sent(*urls: str, environ: Mapping[str, str] | None = None) -> list[tuple[str, list[list[str]]]]:
    """The outcome of each, and what was resolved and connected to."""
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, *urls],
        env={**plain, **(environ or {})},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [(outcome, seen) for outcome, seen in map(json.loads, told.stdout.splitlines())]


def test_a_name_that_leads_to_cloud_metadata_is_given_up_and_not_connected_to() -> None:
    told = sent(*[f"https://{host}/latest/meta-data?t0ken" for host in SPELLINGS])

    for host, (outcome, seen) in zip(SPELLINGS, told, strict=True):
        assert outcome.startswith(f"GiveUp: {host} is 169.254.169.254, a link-local address")
        assert "t0ken" not in outcome
        assert seen == [["resolve", host]]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_refused_address_is_a_dead_letter_at_once_for_every_posting_sink(host: str) -> None:
    for sink in (Webhook(f"https://{host}/x"), Slack(f"https://{host}/x", "{response}")):
        with pytest.raises(GiveUp, match=host):
            await sink.send(completed())


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[fe80::1%25lo]", "[::ffff:169.254.169.254]", "100.100.100.200"]
)
def test_such_an_address_in_the_url_is_refused_before_anything_starts(host: str) -> None:
    with pytest.raises(RouteInvalid, match="give another address") as refused:
        Webhook(f"http://{host}/p4ssword")
    assert "p4ssword" not in str(refused.value)


async def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(hook: Target) -> None:
    port = hook.url.rpartition(":")[2]
    loop_back = [row[4][0] for row in socket.getaddrinfo("localhost", int(port), type=socket.SOCK_STREAM)]

    outcome, seen = await _elsewhere(f"http://localhost:{port}/x")

    assert outcome == "sent"
    assert [name for what, name in seen if what == "resolve" and name == "localhost"] == ["localhost"]
    connected = [address for what, address in seen if what == "connect"]
    assert connected
    assert set(connected) <= set(loop_back)
    # The name never comes back: who answers differently a second time is not asked.
    assert [name for what, name in seen if what == "resolve" and name not in loop_back] == ["localhost"]
    assert hook.received[0].headers["host"] == f"localhost:{port}"


async def test_a_redirect_to_metadata_is_not_followed(hook: Target) -> None:
    hook.answer(reply(307, Location="http://2852039166/latest/meta-data"))

    outcome, seen = await _elsewhere(hook.url)

    assert outcome.startswith("GiveUp: 127.0.0.1")
    assert {address for what, address in seen if what == "connect"} == {"127.0.0.1"}


async def test_a_name_that_does_not_exist_is_tried_again() -> None:
    with pytest.raises(NotDelivered, match=r"^nobody\.invalid: ConnectError"):
        await Webhook("https://nobody.invalid/secret").send(completed())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback interface")
async def test_an_address_that_never_answers_does_not_hold_up_the_next(hook: Target) -> None:
    port = int(hook.url.rpartition(":")[2])
    backend = httpcore.AnyIOBackend()
    with deaf("127.0.0.2", port):
        began = time.monotonic()
        connection = await first_connection(
            lambda address: backend.connect_tcp(address, port, timeout=10), ["127.0.0.2", "127.0.0.1"]
        )
        took = time.monotonic() - began

    assert connection.get_extra_info("server_addr")[0] == "127.0.0.1"
    assert took < 2
    await connection.aclose()


async def test_when_no_address_answers_the_last_error_is_raised() -> None:
    backend = httpcore.AnyIOBackend()

    with pytest.raises(httpcore.ConnectError):
        await first_connection(lambda address: backend.connect_tcp(address, 1, timeout=5), ["127.0.0.1", "::1"])


@contextlib.contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """A listener with a full backlog: a connection gets no answer."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            caller = open_sockets.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex((host, port))
        yield


async def test_the_proxy_of_the_environment_is_still_used(hook: Target) -> None:
    outcome, seen = await _elsewhere("http://hooks.internal/x", {"HTTP_PROXY": hook.url})

    assert outcome == "sent"
    assert hook.received[0].path == "http://hooks.internal/x"
    assert {address for what, address in seen if what == "connect"} == {"127.0.0.1"}


async def test_a_host_that_the_environment_excepts_does_not_go_through_the_proxy(hook: Target) -> None:
    outcome, _ = await _elsewhere(hook.url, {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"})

    assert outcome == "sent"
    assert hook.received[0].path == "/"


async def _elsewhere(url: str, environ: Mapping[str, str] | None = None) -> tuple[str, list[list[str]]]:
    """In a process of its own, while the target of this one answers."""
    [told] = await asyncio.to_thread(sent, url, environ=environ)
    return told
