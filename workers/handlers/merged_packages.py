"""Packages of the user's project that have the names of ours: both are used together, or the start is refused.

Our packages `workers` and `service` look for a submodule in our own folder first, then in each folder of that name on
the Python path (`pkgutil.extend_path`). The user's own `__init__.py` there is not run.
"""

import ast
import logging
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from workers.errors import HandlersInvalid

logger = logging.getLogger("hitl.handlers")

#: The names that a project is likely to use too.
MERGED = ("workers", "service")
_MISSING_NAME = re.compile(r"cannot import name '(?P<name>\w+)'")


def merge_packages() -> None:
    """Let our packages find the submodules of packages with the same name that are on the Python path now."""
    for name in MERGED:
        if (package := sys.modules.get(name)) is not None:
            package.__path__ = pkgutil.extend_path([_home(package)], name)


def check_submodules() -> None:
    """Raise `HandlersInvalid` where a submodule of the user's has the name of one of ours: only ours could be found."""
    clashes = [
        f"{name}.{submodule} would be two files, yours and hitl-receiver's: {user_file} and {our_file}."
        for name, package in _loaded_packages()
        for submodule, user_file, our_file in _same_submodules(package)
    ]
    if clashes:
        remedy = (
            "Rename yours, or start hitl-receiver from a folder that holds your handlers and no package of that name "
            "(docs/your-project.md)."
        )
        raise HandlersInvalid("\n".join([*clashes, remedy]))


def explain_missing_name(error: ImportError | AttributeError) -> HandlersInvalid | None:
    """Return the error for a name expected in `workers` or `service` and that the user's `__init__.py` binds."""
    if isinstance(error, ImportError):
        package: object = sys.modules.get(error.name or "")
        matched = _MISSING_NAME.match(str(error))
        missing = matched["name"] if matched else ""
    else:
        package, missing = error.obj, error.name
    for name, our_package in _loaded_packages():
        if package is not our_package:
            continue
        for file in _own_files(name):
            if missing in _bound_names(file):
                return HandlersInvalid(
                    f"{missing!r} is expected from {name!r}: your {file} binds it, but the package {name!r} is "
                    f"hitl-receiver's {our_package.__file__}, and only the submodules of yours are used. Move "
                    f"{missing!r} to a submodule and import it from there (docs/your-project.md)."
                )
    return None


def warn_of_init_files() -> None:
    """Log each `__init__.py` of the user's that is not run although modules beside it are used."""
    for name, _ in _loaded_packages():
        for file in _own_files(name):
            is_used = any(
                module.startswith(f"{name}.") and file.parent in Path(getattr(loaded, "__file__", None) or "").parents
                for module, loaded in list(sys.modules.items())
            )
            if file.name == "__init__.py" and is_used and _does_something(file):
                logger.warning("handlers.init_not_run file=%s package=%s: see docs/your-project.md", file, name)


def _loaded_packages() -> Iterator[tuple[str, ModuleType]]:
    for name in MERGED:
        if name in sys.modules:
            yield name, sys.modules[name]


def _home(package: ModuleType) -> str:
    assert package.__file__ is not None
    return str(Path(package.__file__).parent)


def _same_submodules(package: ModuleType) -> Iterator[tuple[str, Path, Path]]:
    """The name of each submodule that two folders hold, with the user's file and ours."""
    home, *user_folders = map(Path, package.__path__)
    our_files = _submodules(home)
    for folder in user_folders:
        if folder.resolve() != home.resolve():
            user_files = _submodules(folder)
            yield from (
                (name, user_files[name], our_files[name]) for name in sorted(our_files.keys() & user_files.keys())
            )


def _submodules(folder: Path) -> dict[str, Path]:
    """What can be imported from a package's folder, by name: files, and folders that hold Python files."""
    submodules = {}
    for path in folder.iterdir():
        if path.is_dir():
            if path.name.isidentifier() and any(any(path.glob(python)) for python in ("*.py", "*/*.py")):
                submodules[path.name] = path
        elif path.suffix == ".py" and path.stem not in {"__init__", "__main__"}:
            submodules[path.stem] = path
    return submodules


def _own_files(name: str) -> Iterator[Path]:
    """The files that would be the package, or a module of that name, if ours were not."""
    for folder in sys.path:
        for file in (Path(folder, name, "__init__.py"), Path(folder, f"{name}.py")):
            if file.is_file() and file.parent.resolve() != Path(_home(sys.modules[name])).resolve():
                yield file


def _bound_names(file: Path) -> set[str]:
    """The names that a module binds, as far as its source shows."""
    tree = _parsed(file)
    bound = {alias.asname or alias.name.partition(".")[0] for node in ast.walk(tree)
             if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}  # fmt: skip
    bound |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return bound | {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def _does_something(file: Path) -> bool:
    """Whether a module has more than a docstring, `__all__` and imports from `__future__`."""
    return not all(map(_is_inert, _parsed(file).body))


def _is_inert(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.ImportFrom(module="__future__"):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return False


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
