"""What Procfile, Dockerfile and compose.yaml say is what can be run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, single_select
from hitlsh.callbacks import CallbackSigner
from hitlsh.signatures import headers
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.builders import payload
from tests.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
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


def catches_sigterm(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM by now."""
    [caught] = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


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

    assert run_until(process, lambda: catches_sigterm(process.pid)) == 0


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
    assert run_until(process, lambda: answers(port, "/health/live") and healthy()) == 0
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
        assert CliRunner().invoke(cli, [*shlex.split(words)[1:], "--help"]).exit_code == 0


# -- what each container is given ----------------------------------------------------------------------

#: Everything a `.env` may hold, each value recognisable.
DOT_ENV = {
    "HITL_WEBHOOK_SECRETS": "a-webhook-secret-of-the-env-file",
    "HITL_CALLBACK_SECRETS": "a-callback-secret-of-the-env-file",
    "HITL_API_KEY": "hitl_test_key_of_the_env_file",
    "HITL_HANDLERS": "desk",
    "HITL_DISCOVER": "0",
}
HANDLERS = """
import os
from workers import Router

router = Router()

@router.on("request.completed", trust="confirmed")
def pay(decision):
    with open(os.environ["TOLD"], "a") as told:
        told.write(f"{decision.request_id} {decision.response} {decision.state}\\n")
"""


def given_to(service: str, dot_env: dict[str, str]) -> dict[str, str]:
    """The environment of a service as compose makes it of a `.env`."""

    def value(found: re.Match[str]) -> str:
        name, sign, otherwise = found.groups()
        assert sign == "-" or dot_env.get(name), f"{name}: {otherwise}"
        return dot_env.get(name) or otherwise

    pattern = r"\$\{(\w+):([-?])([^}]*)\}"
    return {name: re.sub(pattern, value, str(text)) for name, text in SERVICES[service].get("environment", {}).items()}


def sources(service: str) -> list[str]:
    """Folders of the host that a service sees, as named where `.env` says nothing."""
    folders = []
    for volume in SERVICES[service].get("volumes", []):
        named = volume if isinstance(volume, str) else volume["source"]
        folders.append(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", named).split(":")[0])
    return [folder for folder in folders if folder.startswith((".", "/"))]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_container_sees_the_folder_of_the_env_file(service: str) -> None:
    assert "env_file" not in SERVICES[service]
    for folder in sources(service):
        assert not ROOT.is_relative_to((ROOT / folder).resolve())


def test_each_container_is_given_the_secrets_that_it_uses_and_no_other() -> None:
    secrets = {
        service: {name for name in given_to(service, DOT_ENV) if name.endswith(("_SECRETS", "_KEY"))}
        for service in SERVICES
    }

    assert secrets == {
        "web": {"HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS"},
        "worker": {"HITL_CALLBACK_SECRETS", "HITL_API_KEY"},
        "clock": {"HITL_API_KEY"},
        "redis": set(),
    }
    assert {service for service in SERVICES if sources(service)} == {"web", "worker"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server") as running:
        yield running


def test_the_containers_do_their_work_with_what_they_are_given(own: EmbeddedServer, tmp_path: Path) -> None:
    folder, empty, told = tmp_path / "handlers", tmp_path / "app", tmp_path / "told"
    folder.mkdir()
    empty.mkdir()
    (folder / "desk.py").write_text(HANDLERS)
    key, callback_secret = DOT_ENV["HITL_API_KEY"], DOT_ENV["HITL_CALLBACK_SECRETS"]
    port = free_port()
    running = []
    with Sandbox(keys=[key]) as sandbox, httpx.Client() as http:
        dot_env = DOT_ENV | {"HITL_BASE_URL": sandbox.base_url, "HITL_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        commands = {
            "web": ["serve", "--port", str(port)],
            "worker": shlex.split(SERVICES["worker"]["command"])[1:],
            "clock": shlex.split(SERVICES["clock"]["command"])[1:],
        }
        system = {"PATH": os.environ["PATH"], "TOLD": str(told)}
        try:
            for service, words in commands.items():
                environ = given_to(service, dot_env) | {"REDIS_URL": own.url} | system
                cwd = folder if sources(service) else empty
                running.append(subprocess.Popen([BIN / "hitl-receiver", *words], env=environ, cwd=cwd))
            wait_for(lambda: answers(port, "/health/ready"), "the web process is ready")
            signer = CallbackSigner([callback_secret])
            with Client(key, base_url=sandbox.base_url) as client:
                loop = client.loops.create("Desk", icon="key").loop.id
                sandbox.add_member(loop, "ann@example.com")
                created = client.requests.create(
                    loop, "Pay?", single_select("Yes", "No"), default_response="No", timeout_seconds=600,
                    callback_url=signer.url(f"http://127.0.0.1:{port}", signer.mint({"order": 7})),
                )  # fmt: skip
            sandbox.answer(created.request_id, "Yes")
            # Posted by callback, confirmed at the API by the worker, which the clock woke for it.
            wait_for(told.exists, "the handler ran", detail=lambda: sandbox.state()["deliveries"])
            body = payload(event="loop.archived")
            signed = {**headers(DOT_ENV["HITL_WEBHOOK_SECRETS"], body), "content-type": "application/json"}
            status = http.post(f"http://127.0.0.1:{port}/webhooks/hitl", content=body, headers=signed).status_code
        finally:
            for process in running:
                process.terminate()
            # A supervisor gives its workers 30 seconds before it kills them.
            statuses = [process.wait(45) for process in running]

    assert told.read_text() == f"{created.request_id} Yes {{'order': 7}}\n"
    assert status in (200, 202)
    assert statuses == [0, 0, 0]


def wait_for(
    done: Callable[[], object], what: str, seconds: float = 30.0, *, detail: Callable[[], object] = lambda: ""
) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} {detail()}"
        time.sleep(0.05)
