"""Public names are complete and sorted, load lazily, and every exception has one root."""

import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

import hitl_sandbox.errors
import hitlsh.api.errors
import hitlsh.webhooks
import service.errors
import workers.errors

LAZY_PACKAGES = ("hitlsh", "hitlsh.api", "hitlsh.webhooks", "workers", "workers.sinks")
ROOTS: dict[str, type[Exception]] = {
    "hitlsh": hitlsh.errors.HitlshError,
    "workers": workers.errors.WorkersError,
    "service": service.errors.ServiceError,
    "hitl_sandbox": hitl_sandbox.errors.SandboxError,
}
#: Where the trees are drawn.
TREES = {
    "hitlsh": hitlsh.__doc__ or "",
    "workers": workers.errors.__doc__ or "",
    "service": service.errors.__doc__ or "",
    "hitl_sandbox": hitl_sandbox.errors.__doc__ or "",
}


def exceptions(package: str) -> Iterator[type[Exception]]:
    """Every exception that a package defines, but for warnings and private ones."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if module.name.endswith("__main__"):
            continue
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_own = value.__module__ == module.name and not name.startswith("_")
            if is_own and issubclass(value, Exception) and not issubclass(value, Warning):
                yield value


@pytest.mark.parametrize("package", ROOTS)
def test_every_exception_descends_from_its_packages_root_and_is_drawn(package: str) -> None:
    found = list(exceptions(package))

    assert ROOTS[package] in found
    assert [error for error in found if not issubclass(error, ROOTS[package])] == []
    assert [error.__name__ for error in found if f" {error.__name__}" not in TREES[package]] == []


@pytest.mark.parametrize("package", ROOTS)
def test_no_exception_is_a_dataclass_or_frozen(package: str) -> None:
    # A context manager sets the traceback of what passes through it.
    assert [error for error in exceptions(package) if dataclasses.is_dataclass(error)] == []


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_public_names_are_sorted_and_each_is_there(package: str) -> None:
    module = importlib.import_module(package)

    assert module.__all__ == sorted(set(module.__all__))
    assert set(module._MODULES) == set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is getattr(importlib.import_module(module._MODULES[name]), name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018 # it is what is tested


def test_hitlsh_names_all_that_receiving_and_calling_need() -> None:
    assert set(hitlsh.webhooks.__all__) | set(hitlsh.api.__all__) <= set(hitlsh.__all__)


@pytest.mark.parametrize(
    ("package", "module"), [("hitlsh.api", "hitlsh.api."), ("hitlsh.webhooks", "hitlsh.webhooks.")]
)
def test_a_package_of_hitlsh_draws_the_errors_that_it_defines(package: str, module: str) -> None:
    drawn = importlib.import_module(package).__doc__ or ""
    defined = {error.__name__ for error in exceptions("hitlsh") if error.__module__.startswith(module)}

    assert defined
    assert [name for name in sorted(defined) if f" {name} " not in drawn.replace("\n", " ")] == []


def test_hitlsh_names_all_its_errors() -> None:
    assert {error.__name__ for error in exceptions("hitlsh")} <= set(hitlsh.__all__)


def test_workers_names_all_that_a_handler_may_raise_or_meet() -> None:
    defined = {error.__name__ for error in exceptions("workers") if error.__module__ == "workers.errors"}

    assert defined <= set(workers.__all__)


MODULES_OF_HITLSH = [module.name for module in pkgutil.walk_packages(hitlsh.__path__, "hitlsh.")]
WITH_HTTP = ("hitlsh.api", "hitlsh.asking_client.")
WITHOUT_HTTP = ["hitlsh", *(name for name in MODULES_OF_HITLSH if not name.startswith(WITH_HTTP))]


def test_receiving_is_among_the_modules_without_http() -> None:
    assert {"hitlsh.signatures", "hitlsh.callbacks", "hitlsh.webhooks.receiving", "hitlsh.slugs"} <= set(WITHOUT_HTTP)


@pytest.mark.parametrize("module", WITHOUT_HTTP)
def test_verifying_needs_no_http_client(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('httpx', 'hitlsh.api') if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)

    assert loaded.stdout == "[]\n", loaded.stderr
