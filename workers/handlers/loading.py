"""Imports the user's router by the name of its module."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.errors import HandlersInvalid
from workers.handlers.merged_packages import (
    check_submodules,
    explain_missing_name,
    merge_packages,
    warn_of_init_files,
)
from workers.routing.callables import place_of
from workers.routing.router import Router
from workers.telemetry.name_suggestions import closest_or_all

_SPEC = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::(?P<attribute>[A-Za-z_]\w*))?")


def load_router(spec: str) -> Router:
    """Return the router at ``package.module[:attribute]``; the attribute is ``router`` by default.

    Looks in the current directory too, and merges our packages with those of the same name there. Raises
    `HandlersInvalid` when there is no such router or the packages cannot be merged, and whatever the module raises.
    """
    matched = _SPEC.fullmatch(spec)
    if matched is None:
        raise HandlersInvalid(f"handlers {spec!r}: write package.module or package.module:attribute{_as_module(spec)}")
    module, attribute = _import_module(matched["module"]), matched["attribute"] or "router"
    return _checked_router(_attribute(module, attribute), f"{module.__name__}:{attribute}")


def _import_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    merge_packages()
    check_submodules()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module exists, but something that it imports does not
        raise HandlersInvalid(
            f"no module {error.name!r} on the way to {name!r}: looked in {here} and on the Python path; "
            f"check the name, or start from the directory that holds it"
        ) from None
    except (ImportError, AttributeError) as error:
        if (explained := explain_missing_name(error)) is not None:
            raise explained from error
        raise
    warn_of_init_files()
    return module


def _attribute(module: ModuleType, attribute: str) -> Any:
    if attribute in vars(module):
        return vars(module)[attribute]
    routers = [name for name, value in vars(module).items() if isinstance(value, Router)]
    if not routers:
        if (explained := explain_missing_name(AttributeError(name=attribute, obj=module))) is not None:
            raise explained
        raise HandlersInvalid(
            f"{module.__name__} has no {attribute!r}, nor any Router: write `from workers import Router` and "
            f"`router = Router()` there"
        )
    raise HandlersInvalid(
        f"{module.__name__} has no {attribute!r}: {closest_or_all(attribute, routers)} "
        f"(as in {module.__name__}:{routers[0]})"
    )


def _checked_router(router: Any, place: str) -> Router:
    if not isinstance(router, Router):
        description = place_of(router) if callable(router) else f"a {type(router).__name__}"
        raise HandlersInvalid(f"{place} is {description}, not a Router: name the Router itself")
    if not router.routes:
        raise HandlersInvalid(
            f'{place} has no handlers: put @router.on("request.completed") above a function, '
            f"and see that the module of each function is imported"
        )
    return router


def _as_module(spec: str) -> str:
    """A hint that names the module where a path to a file was given."""
    path, _, attribute = spec.partition(":")
    if not path.endswith(".py"):
        return ""
    module = path.removesuffix(".py").strip("./").replace("/", ".")
    return f" (did you mean {module}{':' if attribute else ''}{attribute}?)"
