"""A port that another `dev` of ours has is named."""

import os
import socket
from pathlib import Path

import pytest

from service.local import dev_ports
from service.local.embedded_server import ServerUnavailable
from service.local.stack import check_ports
from tests.ports import free_port


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A port, in a folder and with a temporary folder of this test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return free_port()


def test_the_stack_that_has_a_port_is_named(port: int, tmp_path: Path) -> None:
    with (
        dev_ports.register_ports(port),
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServerUnavailable) as refused,
    ):
        check_ports(port)

    assert str(refused.value) == (
        f"Port {port} is in use by another `hitl-receiver dev` (process {os.getpid()}, in {tmp_path}): stop it, or "
        "choose another with --port."
    )


def test_the_port_of_the_sandbox_is_explained(port: int) -> None:
    with (
        dev_ports.register_ports(port, port + 1),
        socket.create_server(("127.0.0.1", port + 1)),
        pytest.raises(ServerUnavailable, match=rf"^Port {port + 1}, for the sandbox \(1 above --port\), is in use"),
    ):
        check_ports(port, port + 1)


def test_another_program_is_not_named(port: int) -> None:
    with dev_ports.register_ports(port):
        pass  # its note stays, and nobody holds it
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerUnavailable) as refused:
        check_ports(port)

    assert str(refused.value) == (
        f"Port {port} is in use: stop the program that listens there, or choose another with --port."
    )
