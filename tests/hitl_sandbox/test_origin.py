"""Who may call the sandbox: raw requests as a rebound name or another site's page would send them."""

import socket
from urllib.parse import urlsplit

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller


def exchange(url: str, head: str, body: str = "") -> tuple[int, str]:
    """Sends the request byte for byte; gives the status and everything after the head."""
    address = urlsplit(url)
    assert address.hostname is not None
    request = f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), rest.decode()


def port(sandbox: Sandbox) -> int:
    port_number = urlsplit(sandbox.url).port
    assert port_number is not None
    return port_number


@pytest.mark.parametrize("path", ["/", "/sandbox/state", "/v1/api/test", "/static/page.js", "/nowhere"])
@pytest.mark.parametrize(
    "host",
    [
        "Host: evil.example:{port}",
        "Host: evil.example",
        "Host: 127.0.0.1.evil.example:{port}",
        "Host: localhost.evil.example",
        "Host: user@localhost:{port}",
        "Host: localhost:{port}/evil.example",
        "Host: localhost:port",
        "Host: 192.168.0.1:{port}",
        "Host: ",
        "X-Forwarded-Host: localhost",
        "Host: localhost\r\nHost: evil.example",
    ],
)
def test_a_host_that_is_not_loopback_is_refused_on_every_path(sandbox: Sandbox, path: str, host: str) -> None:
    head = f"GET {path} HTTP/1.1\r\n{host.format(port=port(sandbox))}\r\nAuthorization: Bearer k"

    status, body = exchange(sandbox.url, head)

    assert status in (400, 421)
    assert status == 400 or "--allow-host" in body
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "[::1]", "127.0.0.1:1"]
)
def test_loopback_is_served_under_each_of_its_names(sandbox: Sandbox, host: str) -> None:
    status, _ = exchange(sandbox.url, f"GET /sandbox/clock HTTP/1.1\r\nHost: {host.format(port=port(sandbox))}")

    assert status == 200


def test_a_name_that_was_allowed_is_served_and_its_neighbours_are_not() -> None:
    with Sandbox(allow_hosts=["Hitl.Internal"]) as sandbox:
        statuses = [
            exchange(sandbox.url, f"GET /sandbox/clock HTTP/1.1\r\nHost: {host}")[0]
            for host in ("hitl.internal:8100", "HITL.internal", "evil.hitl.internal", "internal")
        ]

    assert statuses == [200, 200, 421, 421]


@pytest.mark.parametrize(
    "header",
    [
        "Origin: http://evil.example",
        "Origin: http://127.0.0.1:1",
        "Origin: https://localhost:{port}.evil.example",
        "Origin: http://localhost:{port}",  # the same machine, but not the page of this Host
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/sandbox/requests/{id}/answer", "/page/requests/{id}/answer"])
def test_a_page_of_another_site_answers_nothing(
    sandbox: Sandbox, api: Caller, loop: str, path: str, header: str
) -> None:
    request_id = api.request(loop)
    named = header.format(port=port(sandbox))
    head = f"POST {path.format(id=request_id)} HTTP/1.1\r\nHost: 127.0.0.1:{port(sandbox)}\r\n{named}"

    status, _ = exchange(sandbox.url, head, '{"response_data": "Publish"}')

    assert status == 403
    assert api.read(request_id)["status"] == "pending"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_the_page_itself_and_programs_are_served(sandbox: Sandbox, origin: str) -> None:
    top = f"POST /sandbox/settle HTTP/1.1\r\nHost: 127.0.0.1:{port(sandbox)}"

    assert exchange(sandbox.url, f"{top}\r\nOrigin: {origin.format(port=port(sandbox))}")[0] == 200
    assert exchange(sandbox.url, top)[0] == 200


def test_no_other_site_is_granted_a_preflight(sandbox: Sandbox) -> None:
    head = (
        f"OPTIONS /v1/api/loops HTTP/1.1\r\nHost: 127.0.0.1:{port(sandbox)}\r\nOrigin: http://evil.example\r\n"
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization"
    )
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:  # type: ignore[type-var]
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.split()[1] == b"405"
    assert b"access-control-allow" not in answer.lower()
