"""`hitl-receiver dev` as a developer sees it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hitlsh.signatures import headers
from tests.builders import payload
from tests.processes import proc
from tests.processes.programs import Program
from tests.processes.stacks import KEY, SECRET, free_port

HANDLERS = """
from workers import Decision, Router

router = Router()


@router.on("request.completed")
async def pay_out(decision: Decision) -> None:
    if decision.response == "Fail":
        raise ValueError("no such account")
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
        environ = {"HITL_WEBHOOK_SECRETS": SECRET, "HITL_CALLBACK_SECRETS": KEY}
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


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[OwnDev]:
    with OwnDev(tmp_path) as running:
        running.wait_for("hitl-receiver is running")
        yield running
        running.stop()


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
