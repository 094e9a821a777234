"""Changes of Python files are noticed."""

import itertools
from pathlib import Path

import pytest
from watchfiles import Change

from service.local.source_watch import SourceWatch, is_source
from tests.service.conftest import wait_until


def is_noticed(watch: SourceWatch, file: Path) -> bool:
    """Whether the watch notices that a file changes. It changes again and again, since the watch may just begin."""
    versions = itertools.count()

    def change() -> bool:
        file.write_text(f"VERSION = {next(versions)}\n")
        return watch.take_change()

    wait_until(change, 10.0)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["handlers.py", "shop/prices.py"])
def test_a_change_below_the_folder_is_noticed(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop").mkdir()
    with SourceWatch(tmp_path) as watch:
        assert is_noticed(watch, tmp_path / name)


@pytest.mark.slow
def test_a_change_in_another_folder_is_noticed(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    with SourceWatch(here, [elsewhere, here]) as watch:
        assert is_noticed(watch, elsewhere / "rates.py")


@pytest.mark.parametrize(
    ("name", "is_watched"),
    [
        ("handlers.py", True),
        ("notes.txt", False),
        (".handlers.py.swp", False),
        (".git/hook.py", False),
        (".venv/lib/x.py", False),
        ("env/lib/python3.12/site-packages/x.py", False),
        ("node_modules/x.py", False),
        ("__pycache__/x.py", False),
    ],
)
def test_only_python_files_of_the_user_are_watched(name: str, is_watched: bool) -> None:
    assert is_source(Change.modified, f"/home/user/shop/{name}") is is_watched
