"""What Procfile, Dockerfile and compose.yaml say is what can be run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from service.embedded_server import EmbeddedServer
from service.stack import free_port

ROOT = Path(__file__).parent.parent
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
BIN = Path(sys.executable).parent


def environ(server: EmbeddedServer, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "REDIS_URL": server.url,
        "HITL_CALLBACK_SECRETS": "a-secret-for-tests-only",
        "HITL_HANDLERS": "examples.handlers",
        "PORT": str(port),
    }


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def run_until(process: subprocess.Popen[bytes], done: object, seconds: float = 15.0) -> int:
    """Wait until `done()`, then stop the process as a platform does; answers its exit status."""
    deadline = time.monotonic() + seconds
    try:
        while not done():  # type: ignore[operator]
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it did not come up"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
    return process.wait(15)


def test_the_procfile_names_the_three_processes() -> None:
    assert list(PROCFILE) == ["web", "worker", "clock"]


def test_the_procfiles_web_serves_where_the_platform_says(server: EmbeddedServer) -> None:
    port = free_port()
    command = PROCFILE["web"].replace("0.0.0.0", "127.0.0.1")
    process = subprocess.Popen(["sh", "-c", f"exec {command}"], env=environ(server, port), cwd=ROOT)

    assert run_until(process, lambda: answers(port, "/health/ready")) == 0


@pytest.mark.parametrize("name", ["worker", "clock"])
def test_the_procfiles_other_processes_run_and_stop(server: EmbeddedServer, name: str) -> None:
    process = subprocess.Popen(["sh", "-c", f"exec {PROCFILE[name]}"], env=environ(server, 0), cwd=ROOT)
    started = time.monotonic()

    assert run_until(process, lambda: time.monotonic() - started > 2.0) == 0


def test_the_images_health_check_tells_a_live_server_from_none(server: EmbeddedServer) -> None:
    [words] = re.findall(r"HEALTHCHECK .*\n\s+CMD (\[.*\])", DOCKERFILE)
    port = free_port()
    check = [word.replace(":8000", f":{port}") for word in json.loads(words)]
    check[0] = sys.executable
    nobody = subprocess.run(check, capture_output=True, check=False).returncode
    [words] = re.findall(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    serve = [word.replace("0.0.0.0", "127.0.0.1") for word in json.loads(words)]
    process = subprocess.Popen([str(BIN / serve[0]), *serve[1:]], env=environ(server, port), cwd=ROOT)

    healthy = lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0  # noqa: E731
    assert run_until(process, healthy) == 0
    assert nobody != 0


def test_the_image_is_small_and_not_root() -> None:
    final = DOCKERFILE.rsplit("FROM ", 1)[1]

    assert "slim" in final.splitlines()[0]
    assert "USER hitl" in final
    assert "pip install" not in final


def test_composes_redis_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    [words] = re.findall(r"valkey-server (--.*)", COMPOSE)
    options = dict(zip(shlex.split(words)[::2], shlex.split(words)[1::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


def test_composes_commands_are_ours() -> None:
    for words in re.findall(r"command: (hitl-receiver .*)", COMPOSE):
        program, *rest = shlex.split(words)
        assert subprocess.run([BIN / program, *rest, "--help"], capture_output=True, check=False).returncode == 0
