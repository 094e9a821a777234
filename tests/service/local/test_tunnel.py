"""A tunnel client's address is learnt from what it prints, and must lead here."""

import shlex
import sys
from pathlib import Path

import pytest

from service.local import tunnel
from service.local.tunnel import Tunnel, TunnelFailed, addresses
from tests.ports import free_port

#: Forwards connections, as `ssh -R` does, and prints where it listens between other addresses.
FORWARDER = """
import socket, sys, threading

def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.close()

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("\\x1b[1mSee https://localhost.run/docs/ and http://127.0.0.1:1 for more\\x1b[0m", file=sys.stderr)
print(f"\\x1b[32mForwarding HTTP traffic from http://127.0.0.1:{sys.argv[1]}\\x1b[0m", flush=True)
while True:
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    threading.Thread(target=pump, args=(near, far), daemon=True).start()
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
"""


def script(folder: Path, text: str, *words: str) -> str:
    """The command of a tunnel client."""
    file = folder / "client.py"
    file.write_text(text)
    return shlex.join([sys.executable, str(file), *words])


def find(command: str, *, seconds: float = 15.0) -> tuple[str | None, int, list[str]]:
    """The address, the port it leads to, and what the client printed."""
    port = free_port()
    lines: list[str] = []
    with Tunnel(command, port, print_line=lines.append) as client, tunnel.answering(port) as leads_here:
        return client.find_address(leads_here, is_stopped=lambda: False, seconds=seconds), port, lines


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("2026-03-01T10:00:00Z INF |  https://a-b-c.trycloudflare.com      |", ["https://a-b-c.trycloudflare.com"]),
        ('t=2026 lvl=info msg="started tunnel" url=https://ab12.ngrok-free.app', ["https://ab12.ngrok-free.app"]),
        ("ab12.lhr.life tunneled with tls termination, https://ab12.lhr.life", ["https://ab12.lhr.life"]),
        ("Forwarding HTTP traffic from https://x.serveo.net.", ["https://x.serveo.net"]),
        ("at https://x.example/ now", ["https://x.example"]),
        ("read https://developers.cloudflare.com/cloudflare-one/", []),
        ("no address", []),
    ],
)
def test_addresses_are_read_from_the_output_of_clients(line: str, found: list[str]) -> None:
    assert addresses(line) == found


def test_the_address_that_leads_here_is_found(tmp_path: Path) -> None:
    public = free_port()

    address, _, lines = find(script(tmp_path, FORWARDER, str(public), "{port}"))

    assert address == f"http://127.0.0.1:{public}"
    assert f"Forwarding HTTP traffic from http://127.0.0.1:{public}" in lines


@pytest.mark.slow
def test_an_address_that_leads_elsewhere_is_not_taken(tmp_path: Path) -> None:
    elsewhere = free_port()
    with tunnel.answering(elsewhere), pytest.raises(TunnelFailed) as failed:
        find(script(tmp_path, FORWARDER, str(free_port()), str(elsewhere)), seconds=1.0)

    assert "printed no address that leads here within 1 s; it printed http://127.0.0.1:1, http://127" in str(
        failed.value
    )


def test_a_client_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(TunnelFailed) as failed:
        find(script(tmp_path, "print('ssh: no such host'); raise SystemExit(255)"))

    assert "ended with exit code 255.\nIts last lines:\n  ssh: no such host\nCorrect the command" in str(failed.value)


def test_a_client_that_is_not_installed_is_named() -> None:
    with pytest.raises(TunnelFailed, match=r"nosuch-client cannot be started .*: install it"):
        find("nosuch-client {port}")


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("cloudflared", ["cloudflared", "tunnel", "--url", "http://127.0.0.1:8000"]),
        ("ngrok", ["ngrok", "http", "8000", "--log", "stdout"]),
        ("ssh -R 80:localhost:{port} host", ["ssh", "-R", "80:localhost:8000", "host"]),
        ("bore '{url}' {other}", ["bore", "http://127.0.0.1:8000", "{other}"]),
    ],
)
def test_the_command_names_the_port(command: str, argv: list[str]) -> None:
    assert Tunnel(command, 8000, print_line=print).argv == argv


def test_an_address_of_a_service_is_not_looked_up(tmp_path: Path) -> None:
    printed = "addr=http://localhost:{port} to {url} url=https://ab12.ngrok-free.app"

    address, _, _ = find(script(tmp_path, "import sys, time; print(sys.argv[1], flush=True); time.sleep(60)", printed))

    assert address == "https://ab12.ngrok-free.app"


def test_a_command_that_cannot_be_read_is_explained() -> None:
    with pytest.raises(TunnelFailed, match=r"--tunnel is no command line \(No closing quotation\)"):
        Tunnel("ssh 'host", 8000, print_line=print)


def test_waiting_ends_when_the_program_stops() -> None:
    with Tunnel("sleep 60", 1, print_line=print) as client:
        assert client.find_address(lambda _: False, is_stopped=lambda: True) is None
    assert client.exit_code() is not None
