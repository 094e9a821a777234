"""Activity reaches `dev`, and nobody waits for it."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.local.activity_listener import ActivityListener
from tests.service.conftest import wait_until
from workers.telemetry.activity import VARIABLE, Activity, ActivitySender, DeliveryAnswered

ANSWER = DeliveryAnswered(status=401, reason="signature_mismatch")


class Listening:
    """A listener, and what it has heard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.activities: list[Activity] = []
        self.listener = ActivityListener(path, self.activities.append, lambda: None)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    opened = Listening(tmp_path / "activity.sock")
    with opened.listener:
        yield opened


def test_sent_activity_is_received(listening: Listening) -> None:
    sender = ActivitySender.from_environment({VARIABLE: str(listening.path)})
    assert sender is not None
    with closing(sender):
        sender.send(ANSWER)

    wait_until(lambda: listening.activities)

    assert listening.activities == [ANSWER]


def test_the_socket_is_private_and_removed(tmp_path: Path) -> None:
    opened = Listening(tmp_path / "activity.sock")
    with opened.listener:
        mode = opened.path.stat().st_mode & 0o777

    assert mode == 0o600
    assert not opened.path.exists()


def test_invalid_datagrams_are_ignored(listening: Listening) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"{", b'{"type":"nosuch"}', b"\xff", b'{"type":"delivery","status":"x","reason":1}'):
            stranger.sendto(datagram, str(listening.path))
    with closing(ActivitySender(str(listening.path))) as sender:
        sender.send(ANSWER)

    wait_until(lambda: listening.activities)

    assert listening.activities == [ANSWER]


def test_a_sender_does_not_wait_for_a_reader_that_is_gone_or_slow(tmp_path: Path) -> None:
    path = tmp_path / "activity.sock"
    with (
        closing(ActivitySender(str(path))) as sender,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader,  # reads nothing
    ):
        sender.send(ANSWER)
        reader.bind(str(path))
        for _ in range(5_000):
            sender.send(ANSWER)

        assert reader.recv(8_192).startswith(b'{"type":"delivery"')


def test_nothing_is_sent_outside_of_dev() -> None:
    assert ActivitySender.from_environment({}) is None
