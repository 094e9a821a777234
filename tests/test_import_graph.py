"""No module imports what imports it: a package's ``__init__`` counts, since importing a submodule runs it."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.import_graph import BEGIN, END, PAGE, import_graph, modules, package_table, packages

SUBPACKAGES = ("workers.routing", "workers.handlers", "workers.inbox", "workers.reconcile", "workers.sinks")


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


def test_the_table_of_packages_in_the_documents_is_current() -> None:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()

    assert table == package_table(), "run `make format`"


def test_no_package_has_many_modules() -> None:
    counts = {package: count for package, (count, _) in packages().items()}

    assert max(counts.values()) <= 16, counts


@pytest.mark.slow
def test_no_package_of_the_command_line_is_part_of_a_cycle() -> None:
    between = {
        package: {other for other in others if other.startswith("service.cli.")}
        for package, (_, others) in packages().items()
        if package.startswith("service.cli.")
    }

    assert len(between) >= 6
    assert cycle(between) is None
