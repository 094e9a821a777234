"""The folder of `dev` and of the embedded server: its owner's alone, or refused."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hitl_sandbox.model.store import Store
from service.cli.environment import DEV_SETTINGS, environment, read_settings, write_settings
from service.local.embedded_server import EmbeddedServer
from service.local.private_folder import FolderRefused, make_private


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of another user: made by root, else one of the system's."""
    if os.geteuid() != 0:
        return Path("/usr")
    folder = tmp_path / "foreign"
    folder.mkdir()
    os.chown(folder, 12_345, 12_345)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    make_private(tmp_path / ".hitl")

    assert mode(tmp_path / ".hitl") == 0o700


@pytest.mark.parametrize("before", [0o777, 0o755, 0o750, 0o701, 0o500, 0o2770])
def test_a_wider_folder_is_narrowed_and_keeps_its_contents(
    tmp_path: Path, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / ".hitl"
    folder.mkdir()
    (folder / "kept").write_text("yes")
    folder.chmod(before)

    make_private(folder)

    assert mode(folder) == 0o700
    assert (folder / "kept").read_text() == "yes"
    assert ("folder.narrowed" in caplog.text) == bool(before & 0o077)


def test_a_folder_of_another_user_is_refused_and_left_alone(foreign: Path) -> None:
    before = mode(foreign)

    with pytest.raises(FolderRefused, match=r"belongs to another user .*--folder"):
        make_private(foreign)
    assert mode(foreign) == before


def test_a_folder_shared_by_all_is_refused_even_to_its_owner(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)

    with pytest.raises(FolderRefused, match="shared by all users"):
        make_private(shared)
    assert mode(shared) == 0o1777


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused_and_its_target_is_unchanged(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "target", tmp_path / ".hitl"
    if there:
        target.mkdir(0o755)
    link.symlink_to(target)

    with pytest.raises(FolderRefused, match=r"\.hitl is a symbolic link"):
        make_private(link)
    assert target.exists() == there
    assert not there or mode(target) == 0o755


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hitl").write_text("")

    with pytest.raises(FolderRefused, match="is not a folder"):
        make_private(tmp_path / ".hitl")


def test_the_files_of_the_embedded_server_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with EmbeddedServer(tmp_path / "data") as own:
            # A closed folder comes first; its files are closed too, for when somebody opens that again.
            modes = {path.name: mode(path) & 0o077 for path in [own.folder, *own.folder.rglob("*")]}
    finally:
        os.umask(before)

    assert {"data", "server.log", "redis.sock", "appendonlydir"} < modes.keys()
    assert set(modes.values()) == {0}


def test_the_database_of_the_sandbox_is_private(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    path.touch(0o644)

    Store(str(path)).close()

    assert mode(path) == 0o600


def test_stored_settings_replace_a_wider_file_and_follow_no_link(tmp_path: Path) -> None:
    elsewhere, kept = tmp_path / "elsewhere", tmp_path / DEV_SETTINGS
    elsewhere.write_text("mine")
    kept.symlink_to(elsewhere)

    write_settings(kept, {"HITL_API_KEY": "hitl_dev_1"})

    assert elsewhere.read_text() == "mine"
    assert (mode(kept), read_settings(kept)) == (0o600, {"HITL_API_KEY": "hitl_dev_1"})
    assert [path.name for path in tmp_path.iterdir() if path != elsewhere] == [DEV_SETTINGS]


def test_settings_of_another_user_are_not_read(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HITL_API_KEY", "HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(FolderRefused, match="its settings are not read"):
        environment(foreign)
