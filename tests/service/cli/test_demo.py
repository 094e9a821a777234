"""`hitl-receiver demo`, as an installed wheel runs it."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from service.cli.development.demo import HANDLERS
from service.local.supervisor import command

ROOT = Path(__file__).parents[3]


def test_the_handlers_of_the_demo_are_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert HANDLERS.partition(".")[0] in packages
    assert ROOT.joinpath(*HANDLERS.split(".")).with_suffix(".py").is_file()


@pytest.mark.slow
def test_the_demo_handles_three_decisions_in_an_empty_folder(tmp_path: Path) -> None:
    demo = subprocess.run(command("demo"), cwd=tmp_path, capture_output=True, text=True, timeout=90)

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.count("announce, attempt 1") == 3
    assert list(tmp_path.iterdir()) == []
