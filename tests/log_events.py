"""The names of all log events, read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log", "log_each"}
#: A message that is no more than its event's name, as an argument of a logger.
_NAME = re.compile(r"[a-z_]+\.[a-z_]+")
#: A message anywhere: a name, and then a colon or a field.
_MESSAGE = re.compile(r"([a-z_]+\.[a-z_]+)(?:: | [a-z_-]+=)")


def log_events() -> set[str]:
    """The event names that hitlsh, workers and service log."""
    files = [file for package in ("hitlsh", "workers", "service") for file in (ROOT / package).rglob("*.py")]
    return {name for file in files for name in _logged(ast.parse(file.read_bytes()))}


def _logged(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := _MESSAGE.match(node.value)):
            yield found[1]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            for argument in node.args[:3]:
                if isinstance(argument, ast.Constant) and _NAME.fullmatch(str(argument.value)):
                    yield str(argument.value)
