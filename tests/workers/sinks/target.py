"""A hook on loopback that answers with scripted bytes and records what it receives."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from hitl_sandbox.testing import free_socket

#: What becomes of one request; the connection is closed after it.
Script: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def reply(status: int = 200, body: bytes = b"ok", **headers: str) -> Script:
    async def script(writer: asyncio.StreamWriter) -> None:
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} Said\r\n{named}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return script


def cut_short(status: int) -> Script:
    """Closes in the middle of the answer's body."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 100\r\n\r\nhalf".encode())
        await writer.drain()

    return script


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closes without an answer."""


async def mumble(writer: asyncio.StreamWriter) -> None:
    """Closes in the middle of the answer's head."""
    writer.write(b"HTTP/1.1 200 O")
    await writer.drain()


async def stall(writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.sleep(60)


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Answers endlessly in small pieces, so that no single read times out."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


class Target:
    """Answers with each script in turn, then with 200."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.connections = 0
        self._scripts: list[Script] = []

    def answer(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                self.received.append(await _request(reader))
                if self._scripts:
                    await self._scripts.pop(0)(writer)
                    break
                await reply()(writer)
        writer.close()


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(path=first.split()[1], headers=headers, body=body)


@contextlib.asynccontextmanager
async def target(tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    listener = free_socket()
    made = Target(f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.serve(reader, writer))
        running.add(task)
        await task

    server = await asyncio.start_server(serve, sock=listener, ssl=tls)
    try:
        yield made
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
