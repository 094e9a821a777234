"""Makes hitl-receiver importable in a project that has packages `workers` or `service` of its own.

Importing this package loads our `workers` and `service`, whatever is first on the Python path, and merges them with
packages of the same name on the path: `from workers.tasks import pay` then finds the module `tasks` of the project.
Import it before `workers`, in a `conftest.py` for example (docs/your-project.md). The program `hitl-receiver` does so
itself.
"""

import importlib.util
import sys
from pathlib import Path

#: The folder that holds this package and its siblings.
_HOME = Path(__file__).parent.parent


def _load(name: str) -> None:
    """Import a package from our own folder, whatever is first on the Python path."""
    file = _HOME / name / "__init__.py"
    if name in sys.modules:
        _check_is_ours(name, file)
        return
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _check_is_ours(name: str, file: Path) -> None:
    loaded = getattr(sys.modules[name], "__file__", None) or f"a package {name!r} without __init__.py"
    if Path(loaded).resolve() != file.resolve():
        raise ImportError(
            f"{loaded} was imported as {name!r} before hitl_receiver, so {file} cannot be: "
            f"write `import hitl_receiver` above the first import of {name!r}, in conftest.py for tests",
            name=name,
            path=str(file),
        )


for _name in ("hitlsh", "service", "workers"):
    _load(_name)

from workers import Decision, GiveUp, RetryLater, Reviewer, Route, Router, Sink, between  # noqa: E402
from workers.handlers.merged_packages import merge_packages  # noqa: E402

merge_packages()

__all__ = ["Decision", "GiveUp", "RetryLater", "Reviewer", "Route", "Router", "Sink", "between"]
