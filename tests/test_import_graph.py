"""No module imports what imports it: a package's ``__init__`` counts, since importing a submodule runs it."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hitl_receiver", "hitlsh", "workers", "service", "hitl_sandbox")
SUBPACKAGES = ("workers.routing", "workers.handlers", "workers.inbox", "workers.reconcile", "workers.sinks")


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    files = {file.relative_to(ROOT): file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): file for path, file in files.items()}


def imports_at_load(statements: list[ast.stmt]) -> Iterator[str]:
    """The names that these statements import when the module is loaded: not for type checkers, not in functions."""
    for statement in statements:
        match statement:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{name.name}" for name in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                yield from imports_at_load(orelse)
            case ast.If(body=body, orelse=orelse) | ast.For(body=body, orelse=orelse):
                yield from imports_at_load([*body, *orelse])
            case ast.With(body=body) | ast.ClassDef(body=body):
                yield from imports_at_load(body)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                in_handlers = [each for handler in handlers for each in handler.body]
                yield from imports_at_load([*body, *in_handlers, *orelse, *finalbody])


def parents(module: str) -> set[str]:
    """The packages above a module, which are imported before it."""
    names = module.split(".")
    return {".".join(names[:depth]) for depth in range(1, len(names))}


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """What of ours each module imports."""
    graph = {}
    for module, file in files.items():
        imported = {name for name in imports_at_load(ast.parse(file.read_bytes()).body) if name in files}
        above = {package for name in imported for package in parents(name)}
        # Its own packages are being imported already when a submodule imports a sibling.
        graph[module] = (imported | above | parents(module)) - {module}
    return graph


def cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """One cycle of the graph, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph(modules())


def test_no_module_is_part_of_an_import_cycle(graph: dict[str, set[str]]) -> None:
    assert len(graph) > 250
    assert cycle(graph) is None


def test_no_package_of_workers_is_part_of_a_cycle(graph: dict[str, set[str]]) -> None:
    def package(module: str) -> str:
        return next((name for name in SUBPACKAGES if f"{module}.".startswith(f"{name}.")), module)

    between: dict[str, set[str]] = {}
    for module, imported in graph.items():
        others = {package(name) for name in imported} - {package(module)}
        between.setdefault(package(module), set()).update(others)

    assert set(SUBPACKAGES) <= set(between)
    assert cycle(between) is None


def test_a_cycle_through_a_package_is_found(tmp_path: Path) -> None:
    files = {"a": tmp_path / "init.py", "a.b": tmp_path / "b.py"}
    files["a"].write_text("from a.b import name\n")
    files["a.b"].write_text("name = 1\n")

    assert cycle(import_graph(files)) is not None


@pytest.mark.parametrize("form", ["if TYPE_CHECKING:\n    from a.b import name\n", "def f():\n    import a.b\n"])
def test_an_import_that_does_not_run_at_load_is_none(tmp_path: Path, form: str) -> None:
    files = {"a": tmp_path / "init.py", "a.b": tmp_path / "b.py"}
    files["a"].write_text(form)
    files["a.b"].write_text("")

    assert cycle(import_graph(files)) is None
