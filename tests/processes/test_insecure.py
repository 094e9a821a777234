"""A public address without TLS is refused where a program starts, and accepted by one option."""

from pathlib import Path

import pytest

from tests.processes.programs import invoke, run
from tests.processes.stacks import KEY, SECRET
from tests.python_path import python_path

PLAIN = "http://hooks.example.com"
ENVIRON = {
    "REDIS_URL": "redis://127.0.0.1:1",
    "HITL_WEBHOOK_SECRETS": SECRET,
    "HITL_CALLBACK_SECRETS": KEY,
    "HITL_HANDLERS": "tests.processes.handlers",
    "HITL_PUBLIC_URL": PLAIN,
    "PYTHONPATH": python_path(),
}


@pytest.mark.parametrize(
    "words", [["serve"], ["work"], ["clock"], ["dev"], ["callback-url"]], ids=lambda words: words[0]
)
def test_a_program_refuses_http_and_says_what_to_set(tmp_path: Path, words: list[str]) -> None:
    told = invoke(*words, cwd=tmp_path, environ=ENVIRON)

    assert told.exit_code == 2
    assert "HITL_PUBLIC_URL is http:// with the host 'hooks.example.com'" in told.stderr
    assert "--insecure" in told.stderr


def test_the_option_accepts_it(tmp_path: Path) -> None:
    told = run("callback-url", "--insecure", cwd=tmp_path, environ=ENVIRON)

    assert told.returncode == 0
    assert told.stdout.startswith(f"{PLAIN}/callbacks/")
