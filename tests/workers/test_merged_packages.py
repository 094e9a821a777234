"""The user's own packages `workers` and `service` in the folder of the handlers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import workers
from workers.errors import HandlersInvalid
from workers.handlers.loading import load_router

ROUTER = """
from workers import Router
router = Router()
@router.on("request.completed")
def pay_out(decision): ...
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to start in; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(workers, "__path__", list(workers.__path__))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
        package, _, submodule = name.rpartition(".")
        vars(sys.modules.get(package)).pop(submodule, None) if package in sys.modules else None


def write(app: Path, **files: str) -> None:
    """`workers__tasks` is workers/tasks.py."""
    for name, text in files.items():
        file = app / f"{name.replace('__', '/', 1)}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def test_handlers_import_modules_of_both_packages(app: Path) -> None:
    write(app, shop="from workers.tasks import pay\nfrom workers.testing import completed" + ROUTER)
    write(app, workers__tasks="def pay(): ...")

    assert load_router("shop").routes


def test_handlers_may_be_in_the_package_itself(app: Path) -> None:
    write(app, workers__shop="from .tasks import pay" + ROUTER, workers__tasks="def pay(): ...")

    assert load_router("workers.shop").routes


def test_files_that_python_does_not_import_are_no_clash(app: Path) -> None:
    write(app, shop=ROUTER)
    (app / "workers" / "routing").mkdir(parents=True)
    (app / "workers" / "routing" / "table.csv").write_text("")

    assert load_router("shop").routes


@pytest.mark.parametrize("theirs", ["queue.py", "routing/__init__.py", "routing/tables.py"])
def test_a_submodule_of_the_same_name_is_refused(app: Path, theirs: str) -> None:
    write(app, shop=ROUTER)
    (app / "workers" / theirs).parent.mkdir(parents=True)
    (app / "workers" / theirs).write_text("")

    with pytest.raises(HandlersInvalid) as refused:
        load_router("shop")

    name = theirs.partition("/")[0]
    assert f"{app / 'workers' / name} and {Path(workers.__file__).with_name(name)}." in str(refused.value)


@pytest.mark.parametrize("expects", ["from workers import celery", "import workers\nworkers.celery"])
@pytest.mark.parametrize("binds", ["celery = 1", "def celery(): ...", "from shop_tasks import app as celery"])
@pytest.mark.parametrize("theirs", ["workers/__init__.py", "workers.py"])
def test_a_name_that_only_their_package_binds_is_refused(app: Path, theirs: str, binds: str, expects: str) -> None:
    write(app, shop=expects + ROUTER)
    (app / theirs).parent.mkdir(exist_ok=True)
    (app / theirs).write_text(binds)

    with pytest.raises(HandlersInvalid) as refused:
        load_router("shop")

    assert f"'celery' is expected from 'workers': your {app / theirs} binds it" in str(refused.value)
    assert str(workers.__file__) in str(refused.value)


def test_a_router_in_their_init_file_is_refused(app: Path) -> None:
    (app / "workers").mkdir()
    (app / "workers" / "__init__.py").write_text("router = 1")

    with pytest.raises(HandlersInvalid, match="'router' is expected from 'workers'"):
        load_router("workers")


def test_a_name_that_nobody_binds_is_python_s_own_error(app: Path) -> None:
    write(app, shop="from workers import Routr" + ROUTER, workers__tasks="")
    (app / "workers" / "__init__.py").write_text("celery = 1")

    with pytest.raises(ImportError, match="cannot import name 'Routr'"):
        load_router("shop")


@pytest.mark.parametrize(
    ("text", "is_told"), [("import shop_settings", True), ('"""Our jobs."""\n__all__ = ["tasks"]', False)]
)
def test_an_init_file_that_does_something_is_told_not_to_run(
    app: Path, caplog: pytest.LogCaptureFixture, text: str, is_told: bool
) -> None:
    write(app, shop="import workers.tasks" + ROUTER, workers__tasks="")
    (app / "workers" / "__init__.py").write_text(text)

    load_router("shop")

    assert ("handlers.init_not_run" in caplog.text) == is_told
