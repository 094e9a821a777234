"""`hitl-receiver dev` as a developer sees it."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hitlsh.signatures import headers
from service.cli.environment import read_settings
from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.programs import WITHOUT_SANDBOX, Program, invoke
from tests.processes.stacks import KEY, SECRET
from tests.service.local.test_tunnel import FORWARDER, script

HANDLERS = """
import asyncio
from pathlib import Path

from workers import Decision, Router

router = Router()


@router.on("request.completed")
async def pay_out(decision: Decision) -> None:
    if decision.response == "Fail":
        raise ValueError("no such account")
    while decision.response == "Wait" and not Path("go-on").exists():
        await asyncio.sleep(0.02)
    print("version 1 paid", decision.request_id)
"""


class OwnDev(Program):
    """`dev` in a folder with the handlers above."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.handlers = folder / "handlers.py"
        self.handlers.write_text(HANDLERS)
        environ = {"HITL_WEBHOOK_SECRETS": SECRET, "HITL_CALLBACK_SECRETS": KEY} | WITHOUT_SANDBOX
        words = ("dev", "--handlers", "handlers", "--port", str(self.port), *words)
        super().__init__(*words, cwd=folder, environ=environ)

    def wait_for(self, pattern: str, seconds: float = 20.0) -> None:
        def is_printed() -> bool:
            assert self.process.poll() is None, self.output
            return re.search(pattern, self.output, re.MULTILINE) is not None

        proc.until(is_printed, seconds, f"{pattern} is printed")

    def post(self, request_id: str, *, secret: str = SECRET, **more: object) -> int:
        body = payload(request_id=request_id, **more)  # type: ignore[arg-type]
        return httpx.post(f"{self.url}/webhooks/hitl", content=body, headers=headers(secret, body)).status_code


@pytest.fixture(scope="module")
def tunnel_ports() -> tuple[int, int]:
    """Of the tunnel client at its first and at its second start."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def dev(tunnel_ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDev]:
    folder = tmp_path_factory.mktemp("dev")
    with OwnDev(folder, "--tunnel", changing_tunnel(folder, *tunnel_ports)) as running:
        running.wait_for("hitl-receiver is running")
        yield running
        client = tunnel_client(running)
        assert running.stop() == 0
        assert not proc.alive(client)


def test_each_delivery_and_each_run_is_a_line(dev: OwnDev) -> None:
    dev.post("first")
    # On two lines, if the worker has just started.
    dev.wait_for(r"delivery │ 202 request\.completed first\b")
    dev.wait_for(r"delivery │ (202|   ) request\.completed first → pay_out done [\d.]+ m?s$")
    dev.post("first")
    dev.wait_for(r"delivery │ 200 request\.completed first duplicate: it was received before$")
    dev.post("second", secret="another-secret-than-the-receivers")
    dev.wait_for(r"delivery │ 401 signature_mismatch: is HITL_WEBHOOK_SECRETS right\?$")
    dev.post("third", response="Fail")
    dev.wait_for(r"request\.completed third → pay_out failed \d+.*, again in .*: ValueError: no such account$")


def test_handlers_are_reloaded_and_the_old_ones_go_on_meanwhile(dev: OwnDev) -> None:
    reloads = dev.output.count("Handlers reloaded")
    dev.post("slow", response="Wait")
    proc.until(lambda: is_running(dev, "slow"), 10.0, "the handler runs")
    for number in range(5):  # an editor that saves several times
        dev.handlers.write_text(HANDLERS.replace("version 1", f"version 2.{number}"))
    dev.wait_for(r"^Handlers reloaded: pay_out\.$")
    dev.post("a")
    dev.wait_for(r"version 2\.4 paid a$")
    (dev.folder / "go-on").touch()
    dev.wait_for("version 1 paid slow$")

    dev.handlers.write_text(HANDLERS.replace("version 1 paid", "version 3 paid") + "\ndef broken(:\n")
    dev.wait_for(r"SyntaxError: invalid syntax\nThe handlers that run go on\. Save a correction to load them\.$")
    dev.post("b")
    dev.wait_for(r"version 2\.4 paid b$")

    added = '\n\n@router.on("request.claimed")\ndef claimed(decision: Decision) -> None:\n    print("claimed")\n'
    dev.handlers.write_text(HANDLERS.replace("version 1", "version 4") + added)
    dev.wait_for(r"^Handlers reloaded: pay_out, claimed\.$")
    proc.until(lambda: is_up(dev), 10.0, "the web process is back")
    dev.post("c")
    dev.wait_for("version 4 paid c$")
    assert dev.output.count("Handlers reloaded") == reloads + 2


def test_an_error_in_reloaded_handlers_shows_only_the_users_frames(dev: OwnDev) -> None:
    whole, reloads = dev.handlers.read_text(), dev.output.count("Handlers reloaded")
    (dev.folder / "prices.py").write_text("RATE = 1 / 0\n")
    dev.handlers.write_text("import prices\n" + HANDLERS)

    dev.wait_for("ZeroDivisionError: division by zero\nThe handlers that run go on")

    dev.handlers.write_text(whole)
    proc.until(lambda: dev.output.count("Handlers reloaded") > reloads, 10.0, "the correction is loaded")
    error = dev.output.partition("ZeroDivisionError")[0].rpartition("The handlers cannot be imported")[2]
    frames = re.findall(r'File "(.*)", line (\d+)', error)
    assert frames == [(f"{dev.folder}/handlers.py", "1"), (f"{dev.folder}/prices.py", "1")]


def is_running(dev: OwnDev, request_id: str) -> bool:
    told = invoke("events", "--request", request_id, "--json", cwd=dev.folder)
    return bool(told.stdout) and [effect["state"] for effect in json.loads(told.stdout)[0]["effects"]] == ["running"]


def is_up(dev: OwnDev) -> bool:
    try:
        return httpx.get(f"{dev.url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


# -- tunnels ---------------------------------------------------------------------------------------------


def test_the_address_of_a_tunnel_becomes_the_public_url(dev: OwnDev, tunnel_ports: tuple[int, int]) -> None:
    first, second = tunnel_ports
    url = invoke("callback-url", "--callback-state", '{"order": 7}', cwd=dev.folder).stdout.strip()
    posted = httpx.post(url, content=payload(request_id="through"))
    dev.wait_for(r"delivery │ (202|   ) request\.completed through → pay_out done")

    os.kill(tunnel_client(dev), signal.SIGTERM)
    dev.wait_for(rf"^HITL\.sh reaches this stack at http://127\.0\.0\.1:{second} now\.")
    later_url = invoke("callback-url", cwd=dev.folder).stdout.strip()
    proc.until(lambda: is_up(dev), 10.0, "the web process is back")
    posted_later = httpx.post(later_url, content=payload(request_id="later"))

    assert url.startswith(f"http://127.0.0.1:{first}/callbacks/")
    assert later_url.startswith(f"http://127.0.0.1:{second}/callbacks/")
    assert (posted.status_code, posted_later.status_code) == (202, 202)
    assert f"endpoints http://127.0.0.1:{first}/webhooks/hitl " in dev.output
    assert read_settings(dev.folder / ".hitl" / "dev.env")["HITL_PUBLIC_URL"] == f"http://127.0.0.1:{second}"


def changing_tunnel(folder: Path, *ports: int) -> str:
    """The command of a client that listens on another port at each start."""
    file = folder / "ports.json"
    file.write_text(json.dumps(ports))
    next_port = (
        "import json, pathlib, sys\n"
        f"file = pathlib.Path({str(file)!r})\n"
        "port, *others = json.loads(file.read_text())\n"
        "file.write_text(json.dumps(others))\n"
        "sys.argv.insert(1, str(port))\n"
    )
    return script(folder, next_port + FORWARDER, "{port}")


def tunnel_client(dev: OwnDev) -> int:
    """Its process; the command line of `dev` names it too."""
    [client] = [
        pid for pid in proc.children(dev.process.pid) if "client.py" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    return client


def test_a_tunnel_that_fails_keeps_dev_from_starting(tmp_path: Path) -> None:
    with OwnDev(tmp_path, "--tunnel", script(tmp_path, "raise SystemExit('ssh: no such host')")) as dev:
        assert dev.process.wait(20.0) == 2

    assert "ended with exit code 1.\nIts last lines:\n  ssh: no such host\n" in dev.output
    assert not (tmp_path / ".hitl" / "dev.env").exists()
