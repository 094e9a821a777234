import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.errors import HandlersInvalid
from workers.handlers.loading import load_router

HANDLERS = """
from workers import Router
router = Router()
spare = Router()
number = 5
@router.on("request.completed")
def pay_out(decision): ...
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to start in; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("spec", ["shop_handlers", "shop_handlers:router"])
def test_a_router_is_loaded_from_the_current_directory(app: Path, spec: str):
    (app / "shop_handlers.py").write_text(HANDLERS)

    assert [route.name for route in load_router(spec).routes] == ["pay_out"]


def test_a_router_is_loaded_from_a_package(app: Path):
    (app / "shop").mkdir()
    (app / "shop" / "handlers.py").write_text(HANDLERS.replace("router", "routes"))

    assert load_router("shop.handlers:routes").routes


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("shop_handlers:missing", "there are router, spare (as in shop_handlers:router)"),
        ("shop_handlers:routr", "did you mean 'router'?"),
        ("shop_handlers:number", "shop_handlers:number is a int, not a Router"),
        ("shop_handlers:pay_out", "is shop_handlers.pay_out, not a Router"),
        ("shop_handlers:Router", "not a Router: name the Router itself"),
        ("shop_handlers:spare", "shop_handlers:spare has no handlers"),
        ("shop_handler", "no module 'shop_handler'"),
        ("shop_handlers.more", "no module 'shop_handlers.more'"),
        ("nowhere.handlers", "no module 'nowhere' on the way to 'nowhere.handlers'"),
        ("./app/handlers.py:router", "did you mean app.handlers:router?"),
        (".handlers", "write package.module"),
        ("", "write package.module"),
    ],
)
def test_a_module_without_the_named_router_is_refused(app: Path, spec: str, says: str):
    (app / "shop_handlers.py").write_text(HANDLERS)

    with pytest.raises(HandlersInvalid) as refused:
        load_router(spec)
    assert says in str(refused.value)


def test_a_module_without_any_router_is_told_how_to_make_one(app: Path):
    (app / "shop_empty.py").write_text("")

    with pytest.raises(HandlersInvalid, match="from workers import Router"):
        load_router("shop_empty")


@pytest.mark.parametrize(
    ("source", "error"), [("import no_such_thing", ModuleNotFoundError), ("1 / 0", ZeroDivisionError)]
)
def test_an_exception_of_the_module_is_not_wrapped(app: Path, source: str, error: type[Exception]):
    (app / "shop_broken.py").write_text(source)

    with pytest.raises(error) as raised:
        load_router("shop_broken")
    assert raised.traceback[-1].path == app / "shop_broken.py"
