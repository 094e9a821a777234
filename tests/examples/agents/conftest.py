"""Agents that ask through `hitl-receiver serve`, and a person who answers at the sandbox."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hitlsh.api import Client
from tests.python_path import python_path
from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import (
    API_KEY,
    TOKEN,
    Asking,
    AskingReceiver,
    asking,
    asking_and_web,
    server,
    web,
)
from tests.service.web.requests.conftest import sandbox as asked_sandbox

__all__ = ["asked_sandbox", "asking", "asking_and_web", "server", "web"]

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "agents"
LOOP = "Example desk"


class Person:
    """Somebody who answers at HITL.sh."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._earlier = {one["id"] for one in asking.sandbox.state()["requests"]}

    def wait_for(self, text: str) -> str:
        """Until the question has been asked; returns HITL.sh's id of it."""
        wait_until(lambda: bool(self.asked(text)), 30.0)
        return str(self.asked(text)[-1]["id"])

    def asked(self, text: str) -> list[Mapping[str, Any]]:
        """The requests of this test with this text."""
        requests = self._asking.sandbox.state()["requests"]
        return [one for one in requests if one["request_text"] == text and one["id"] not in self._earlier]

    def answer(self, text: str, response: Any) -> None:
        self._asking.sandbox.answer(self.wait_for(text), response)

    def answer_soon(self, text: str, response: Any) -> threading.Thread:
        """Answer in the background, once it has been asked."""
        thread = threading.Thread(target=self.answer, args=(text, response))
        thread.start()
        return thread


def start(example: str, *words: str) -> subprocess.Popen[str]:
    """An example as its own process."""
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / example), *words],
        env=os.environ | {"PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.fixture(scope="session")
def sandbox(asked_sandbox: Any) -> Any:
    with Client(API_KEY, base_url=asked_sandbox.base_url) as client:
        loop = client.loops.create(LOOP, icon="shield-check", description="Questions of the examples").loop
    asked_sandbox.add_member(loop.id, "grace@example.com")
    return asked_sandbox


@pytest.fixture
def person(asking: Asking) -> Person:
    return Person(asking)


@pytest.fixture
def environment(web: AskingReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an agent is told."""
    monkeypatch.setenv("HITL_RECEIVER_URL", web.url)
    monkeypatch.setenv("HITL_RECEIVER_TOKEN", TOKEN)
