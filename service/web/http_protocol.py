"""uvicorn's HTTP protocol with limits on the time and size of a request head; offers to upgrade are ignored."""

import asyncio
from typing import ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Name in the lifespan state of a function that is called when the server stops, before it waits for open replies.
ON_SHUTDOWN: Final = "on_shutdown"


class _PlainParser:
    """httptools' request parser that treats an offer to upgrade as an ordinary header."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._parser = self._new_parser()

    def feed_data(self, data: bytes) -> None:
        """Parse; raises `httptools.HttpParserError`."""
        remaining = memoryview(data)
        while True:
            try:
                self._parser.feed_data(remaining)
            except httptools.HttpParserUpgrade as offer:
                remaining = remaining[offer.args[0] :]
                head = self._head_without_offer()
                self._parser = self._new_parser()
                self._parser.feed_data(head)
            else:
                return

    def should_upgrade(self) -> bool:
        return bool(self._parser.should_upgrade())

    def should_keep_alive(self) -> bool:
        return bool(self._parser.should_keep_alive())

    def get_method(self) -> bytes:
        return bytes(self._parser.get_method())

    def get_http_version(self) -> str:
        return str(self._parser.get_http_version())

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self._protocol)
        # As in uvicorn: data after a request that ends its connection is not an error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _head_without_offer(self) -> bytes:
        if self.get_method() == b"CONNECT":  # always a change of protocol, whatever its headers
            raise httptools.HttpParserError("CONNECT is for proxies")
        headers = [(name, value) for name, value in self._protocol.headers if name != b"upgrade"]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        start = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        return b"".join([start, *lines, b"\r\n"])


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection if its request does not end in time, its head is too large, or it does not read its reply.

    uvicorn limits none of them (https://www.uvicorn.org/server-behavior/#timeouts): half a header line would hold a
    connection for ever, and an endless header would fill the memory.

    A request that offers another protocol (`Upgrade: h2c`, as `curl --http2` sends) is read as plain HTTP/1.1,
    as RFC 9110, section 7.8 allows. The parser would treat everything after such a head, the body included, as the
    other protocol, so the request is parsed again without the offer.
    """

    #: Seconds from the first byte of a request to its last; longer than an endpoint waits for a body.
    request_seconds: ClassVar[float] = 20.0
    #: Bytes of request line and headers, where they arrive in more than one piece.
    largest_head: ClassVar[int] = 64 << 10
    #: Seconds for which a client may keep a reply from being sent.
    write_seconds: ClassVar[float] = 20.0

    _write_deadline: asyncio.TimerHandle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _arriving = False
    _in_head = False
    _head_size = 0
    _unanswered = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        super().connection_made(transport)
        self.parser = _PlainParser(self)  # type: ignore[assignment] # has all that uvicorn uses
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arriving = False
        self._cancel_deadline()
        self._cancel_write_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._arriving = self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # parsed again without the offer
        self._in_head = False
        self._unanswered += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._arriving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head_size > self.largest_head:
            self.send_400_response("Request head too large.")
        elif self._arriving or self._is_idle_without_timer():
            self._start_deadline()
        else:
            self._cancel_deadline()

    def shutdown(self) -> None:
        super().shutdown()
        # The ASGI lifespan ends only after all replies have, and waits would hold them up.
        if (end_waits := self.app_state.get(ON_SHUTDOWN)) is not None:
            end_waits()

    def pause_writing(self) -> None:
        """Start the write deadline: the client reads more slowly than we send."""
        super().pause_writing()
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel_write_deadline()
        super().resume_writing()

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def _is_idle_without_timer(self) -> bool:
        """Whether no request is open and uvicorn's keep-alive timer does not run, as after an empty line."""
        return self._unanswered == 0 and self.timeout_keep_alive_task is None

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self._close_overdue)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_overdue(self) -> None:
        self._deadline = None
        self.transport.close()
