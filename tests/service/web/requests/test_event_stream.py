"""Server-sent events of one request."""

import os
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import TOKEN, Asking, AskingReceiver, EventReader, Json


def requests_of(reader: EventReader) -> list[Json]:
    return [msgspec.json.decode(line[6:]) for line in reader.lines if line.startswith("data: ")]


@pytest.mark.slow
def test_events_end_with_the_outcome(web: AskingReceiver) -> None:
    request = web.ask()
    reader = web.events(request["id"])
    reader.wait_for_events(1)

    web.asking.sandbox.answer(request["request_id"], "Approve")
    reader.wait_for_end()

    first, *_, last = requests_of(reader)
    assert (first, first["outcome"]) == (request, None)
    assert last["outcome"]["response"] == "Approve"
    assert reader.ids() == sorted({each["version"] for each in requests_of(reader)})


@pytest.mark.slow
def test_a_reader_that_comes_again_gets_what_it_has_not_seen(web: AskingReceiver) -> None:
    request = web.ask()
    seen = str(request["version"])

    reader = web.events(request["id"], **{"last-event-id": seen})
    time.sleep(0.3)
    before = reader.ids()
    web.asking.sandbox.answer(request["request_id"], "Approve")
    reader.wait_for_end()
    again = web.events(request["id"], **{"last-event-id": str(reader.ids()[-1])})
    again.wait_for_end()

    assert (before, len(reader.ids())) == ([], 1)
    assert (again.status, again.ids()) == (204, [])


@pytest.mark.parametrize("last_event_id", ["", "x", "99999999", "-1", "9" * 400])
def test_an_id_that_is_not_known_shows_the_request(web: AskingReceiver, last_event_id: str) -> None:
    request = web.ask()
    web.client.delete(f"/requests/{request['id']}")

    reader = web.events(request["id"], **{"last-event-id": last_event_id})
    reader.wait_for_end()

    assert [each["outcome"]["kind"] for each in requests_of(reader)] == ["cancelled"]


@pytest.mark.slow
def test_a_process_that_stops_ends_the_streams_that_are_still_read(asking: Asking, web: AskingReceiver) -> None:
    """Those of clients that went ended before; one whose client reads nothing is dropped after its time."""
    request = web.ask()
    with asking.serving("stopped") as stopped:
        head = f"GET /requests/{request['id']}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        connections = [stopped.receiver.connect() for _ in range(20)]
        for connection in connections:
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        for connection in connections:
            connection.close()
        wait_until(lambda: not _half_closed(stopped.receiver.port))
        reader = stopped.events(request["id"])
        reader.wait_for_events(1)
        # By the limits of its kernel's buffers; the process stops in time even so.
        with closing(socket.create_connection(("127.0.0.1", stopped.receiver.port))) as connection:
            connection.sendall(head.encode())
            time.sleep(0.3)
            started = time.monotonic()
            os.kill(stopped.pid(), signal.SIGTERM)
            reader.wait_for_end()
            wait_until(lambda: "Finished server process" in stopped.log())
            seconds = time.monotonic() - started

    resumed = web.events(request["id"], **{"last-event-id": str(reader.ids()[-1])})
    web.asking.sandbox.answer(request["request_id"], "Reject")
    resumed.wait_for_end()

    assert seconds < 5.0
    assert "waits.ended waits=2\n" in stopped.log()
    assert "ERROR" not in stopped.log()
    assert [each["outcome"]["response"] for each in requests_of(resumed)] == ["Reject"]


def _half_closed(port: int) -> int:
    """Connections of a server whose clients have closed theirs."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(local.rpartition(":")[2], 16) == port and state == "08" for _, local, _, state, *_ in lines)
