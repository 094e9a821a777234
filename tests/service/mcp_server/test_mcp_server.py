"""`hitl-receiver mcp` as a process, called by the client of the official SDK."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from click.testing import CliRunner

from service.cli.main import cli
from tests.ports import free_port
from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import TOKEN, Asking, AskingReceiver

if TYPE_CHECKING:
    from mcp import Client

pytestmark = pytest.mark.slow


def environment(web: AskingReceiver) -> dict[str, str]:
    return os.environ | {"HITL_RECEIVER_URL": web.url, "HITL_RECEIVER_TOKEN": TOKEN}


WORDS = ["-m", "hitl_receiver", "mcp", "--loop", "Payouts"]


@asynccontextmanager
async def over_stdio(web: AskingReceiver, *words: str) -> AsyncIterator["Client"]:
    # Imported here: it takes half a second, and every worker of pytest-xdist imports this module.
    from mcp import Client, StdioServerParameters

    program = StdioServerParameters(command=sys.executable, args=[*WORDS, *words], env=environment(web))
    async with Client(program) as client:
        yield client


@asynccontextmanager
async def over_http(http_server: str) -> AsyncIterator["Client"]:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False) as http,
        Client(streamable_http_client(f"{http_server}/mcp", http_client=http)) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def http_server(asking_and_web: tuple[Asking, AskingReceiver]) -> Iterator[str]:
    """The address of one for all tests."""
    port = free_port()
    program = subprocess.Popen(
        [sys.executable, *WORDS, "--http", "--port", str(port)],
        env=environment(asking_and_web[1]),
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert program.poll() is None, program.stderr and program.stderr.read()
        with suppress(httpx.TransportError):
            return probe.get(url).status_code == 401
        return False

    try:
        with httpx.Client(trust_env=False) as probe:
            wait_until(is_up, 30.0)
        yield url
    finally:
        program.terminate()
        program.communicate(timeout=20)


async def call(client: "Client", tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refusal(client: "Client", tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


def hitl_id(web: AskingReceiver, asked: Any) -> str:
    """HITL.sh's id of a request."""
    return str(web.read(asked["id"])["request_id"])


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_model_asks_waits_and_gets_the_answer(web: AskingReceiver, http_server: str, transport: str) -> None:
    async with over_stdio(web) if transport == "stdio" else over_http(http_server) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        asked = await call(client, "ask", question="Refund?", default="no", answer="one_of", options=["yes", "no"])
        early = await call(client, "wait", id=asked["id"], seconds=0)
        listed = (await call(client, "list_open"))["result"]
        waiting = asyncio.create_task(call(client, "wait", id=asked["id"]))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(web.asking.sandbox.answer, hitl_id(web, asked), "no")
        ended = await waiting

    assert tools == {"ask", "wait", "get", "cancel", "list_open"}
    assert [request["id"] for request in listed] == [asked["id"]]
    assert (early["status"], early["outcome"]) == ("open", None)
    assert (ended["status"], ended["outcome"]["kind"], ended["outcome"]["response"]) == ("ended", "answered", "no")
    assert [each["method"] for each in web.asking.calls() if each["method"] == "POST"] == ["POST"]


async def test_every_kind_of_answer_can_be_asked_for(web: AskingReceiver, http_server: str) -> None:
    async with over_http(http_server) as client:
        await call(client, "ask", question="1?", default=False)
        await call(client, "ask", question="2?", default=["a"], answer="some_of", options=["a", "b"])
        await call(client, "ask", question="3?", default=0, answer="whole_number", minimum=0, maximum=9)
        last = await call(client, "ask", question="4?", default="-", answer="text", context={"a": 1}, key="k")
        shown = (await call(client, "list_open"))["result"]

    types = {one["request_text"]: one["response_type"] for one in web.asking.sandbox.state()["requests"]}
    assert [types[f"{number}?"] for number in (1, 2, 3, 4)] == ["boolean", "multi_select", "number", "text"]
    assert (last["key"], [request["text"] for request in shown]) == ("k", ["1?", "2?", "3?", "4?"])


async def test_a_timeout_is_no_answer_and_no_is_one(web: AskingReceiver, http_server: str) -> None:
    async with over_http(http_server) as client:
        no = await call(client, "ask", question="No?", default=True)
        late = await call(client, "ask", question="Late?", default=False, timeout_minutes=1)
        await asyncio.to_thread(web.asking.sandbox.answer, hitl_id(web, no), False)
        await asyncio.to_thread(web.asking.sandbox.advance, 61)
        answered = (await call(client, "wait", id=no["id"]))["outcome"]
        timed_out = (await call(client, "wait", id=late["id"]))["outcome"]

    assert (answered["kind"], answered["response"]) == ("answered", False)
    assert (timed_out["kind"], timed_out["default_response"], "response" in timed_out) == ("timed_out", False, False)


async def test_the_operator_demands_trust_also_of_questions_that_others_asked(web: AskingReceiver) -> None:
    foreign = await asyncio.to_thread(web.ask)
    await asyncio.to_thread(web.asking.sandbox.answer, foreign["request_id"], "Approve")

    async with over_stdio(web, "--trust", "confirmed") as client:
        asked = await call(client, "ask", question="Refund?", default=False)
        await asyncio.to_thread(web.asking.sandbox.answer, hitl_id(web, asked), True)
        await asyncio.to_thread(web.asking.sandbox.settle)
        shown = [
            await call(client, "wait", id=asked["id"], seconds=0),
            await call(client, "get", id=foreign["id"]),
            await call(client, "wait", id=foreign["id"], seconds=0),
        ]

    assert [(each["status"], each["outcome"]) for each in shown] == [("open", None)] * 3
    assert web.read(asked["id"])["trust"] == "confirmed"
    assert web.read(foreign["id"])["status"] == "ended"


@pytest.mark.usefixtures("web")
async def test_a_model_is_told_what_is_wrong(http_server: str) -> None:
    async with over_http(http_server) as client:
        asked = await call(client, "ask", question="Refund?", default=False, key="refund-42")

        assert "must be one of the options" in await refusal(
            client, "ask", question="Refund?", default="maybe", answer="one_of", options=["yes", "no"]
        )
        assert "options has 0 entries" in await refusal(client, "ask", question="?", default="a", answer="one_of")
        assert "text differs" in await refusal(client, "ask", question="Other?", default=False, key="refund-42")
        assert "ask_nothing" in await refusal(client, "wait", id="ask_nothing")
        assert (await call(client, "cancel", id=asked["id"]))["outcome"]["kind"] == "cancelled"
        assert (await call(client, "get", id=asked["id"]))["status"] == "ended"


async def test_http_needs_the_token(http_server: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            reply = await stranger.post(f"{http_server}/mcp", json={}, headers=headers)
            assert (reply.status_code, TOKEN in reply.text) == (401, False)


def test_a_missing_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HITL_RECEIVER_URL", raising=False)

    ended = CliRunner().invoke(cli, ["mcp"])

    assert (ended.exit_code, ended.output) == (
        2,
        "HITL_RECEIVER_URL is not set: set it to the receiver's address, or give url=\n",
    )
