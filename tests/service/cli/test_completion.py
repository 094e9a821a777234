"""`hitl-receiver completion` prints scripts that shells run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli.main import cli
from service.local.supervisor import command

#: Completes a command line as bash does when Tab is pressed, with the script that is on standard input.
PRESS_TAB = """
eval "$(cat)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_hitl_receiver_completion "$1" "${@: -1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str) -> str:
    printed = CliRunner().invoke(cli, ["completion", shell])
    assert printed.exit_code == 0
    return printed.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["ex"], ["export"]),
        (["events", "--state", "dea"], [""]),
        (["events", "--state", "fail"], ["failed"]),
        (["api", "loop-r"], ["loop-requests"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes_commands_options_and_values(words: list[str], completions: list[str]) -> None:
    program = str(Path(sys.executable).with_name("hitl-receiver"))

    told = subprocess.run(
        ["bash", "--norc", "-c", PRESS_TAB, "bash", program, *words],
        input=script("bash"), capture_output=True, text=True, check=True,
        timeout=30,
    )  # fmt: skip

    assert told.stdout.splitlines() == completions


@pytest.mark.parametrize(
    ("shell", "line"), [("zsh", "#compdef hitl-receiver"), ("fish", "complete --no-files --command")]
)
def test_other_shells_have_scripts_too(shell: str, line: str) -> None:
    assert line in script(shell)
    assert "_HITL_RECEIVER_COMPLETE" in script(shell)


def test_a_command_without_standard_output_succeeds() -> None:
    words = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command("completion", "bash")]

    result = subprocess.run(words, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    assert (result.returncode, result.stderr) == (0, "")
