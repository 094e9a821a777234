"""The import graph of our packages, and the table of it in docs/architecture.md.

`make format` writes the table, with `python -m tests.import_graph`.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- packages: begin -->", "<!-- packages: end -->"
PACKAGES = ("hitl_receiver", "hitlsh", "workers", "service", "hitl_sandbox")


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


def package_of(module: str, files: Mapping[str, Path]) -> str:
    """The package that holds a module; a package holds itself."""
    return module if files[module].name == "__init__.py" else module.rpartition(".")[0]


def packages() -> dict[str, tuple[int, set[str]]]:
    """Every package with the number of its modules, and the packages from which these import."""
    files = modules()
    table: dict[str, tuple[int, set[str]]] = {}
    for module, imported in _direct_imports(files).items():
        package = package_of(module, files)
        count, others = table.get(package, (0, set()))
        others |= {package_of(name, files) for name in imported} - {package}
        table[package] = (count + (module != package), others)
    return dict(sorted(table.items()))


def package_table() -> str:
    """The table of docs/architecture.md."""
    rows = [
        f"| `{package}` | {count} | {', '.join(f'`{name}`' for name in sorted(others))} |"
        for package, (count, others) in packages().items()
    ]
    return "\n".join(["| package | modules | imports |", "|---|---|---|", *rows])


def _direct_imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """The modules that each module names in its imports; of a name in a package, the package."""
    return {
        module: _most_specific({name for name in imports_at_load(ast.parse(file.read_bytes()).body) if name in files})
        for module, file in files.items()
    }


def _most_specific(names: set[str]) -> set[str]:
    """Without packages of which a submodule is named too: ``from package import module`` names both."""
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def main() -> None:
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:begin]}\n\n{package_table()}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
