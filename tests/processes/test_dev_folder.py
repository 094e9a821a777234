"""The folder that `hitl-receiver dev` leaves behind, as a neighbour on the same machine finds it."""

import os
import stat
from pathlib import Path

import pytest

from tests.processes.programs import Dev, run
from tests.processes.stacks import settings


@pytest.mark.slow
def test_dev_closes_its_folder_to_others_whatever_it_finds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    (data / "dev.env").touch(0o644)
    (data / ".gitignore").write_text("mine\n")
    before = os.umask(0)
    try:
        with Dev(tmp_path) as dev:
            dev.wait_until_up()
            modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in data.rglob("*")}
            assert dev.stop() == 0
    finally:
        os.umask(before)

    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert "folder.narrowed" in dev.output
    assert {"dev.env", "sandbox.db", "server.log"} < modes.keys()
    assert {name for name, mode in modes.items() if mode & 0o077} == {".gitignore"}
    assert (data / ".gitignore").read_text() == "mine\n"


def test_dev_does_not_follow_a_link_that_a_repository_brought(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir(mode=0o755)
    (tmp_path / ".hitl").symlink_to(target)

    told = run("dev", cwd=tmp_path, environ=settings(tmp_path))

    assert told.returncode == 2
    assert told.stderr == (".hitl is a symbolic link: remove it, or name the folder that it leads to with --folder.\n")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(("words", "status"), [(["status"], 2), (["callback-url"], 2), (["api", "loops"], 1)])
def test_a_command_takes_no_settings_from_a_folder_that_is_a_link(
    tmp_path: Path, words: list[str], status: int
) -> None:
    target = tmp_path / "planted"
    target.mkdir()
    (target / "dev.env").write_text("REDIS_URL='redis://127.0.0.1:1/0'\n")
    (tmp_path / ".hitl").symlink_to(target)

    told = run(*words, cwd=tmp_path)

    assert told.returncode == status
    assert ".hitl belongs to another user or is a symbolic link" in told.stderr
    assert "Traceback" not in told.stderr
