"""Only `workers.inbox` runs a command on Redis; the linter's banned imports keep the names of its keys there, too.

A module outside may hold a client to hand it on, and close it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

ROOT = Path(__file__).parents[1]
PACKAGES = ("hitl_receiver", "hitlsh", "workers", "service")
#: They may run commands: on RQ's own keys, on no key at all, or on the key that the user names.
ALLOWED = {
    "workers/queue.py",
    "workers/redis_clients.py",
    "workers/redis_checks.py",
    "workers/sinks/redis_stream.py",
}
#: Methods of a client that no command on a key stands behind.
HARMLESS = {"aclose", "close", "ping"}
#: Commands that share their name with a method of something else.
AMBIGUOUS = {
    "append", "close", "command", "copy", "delete", "digest", "echo", "exists", "get", "info", "keys", "memory_usage",
    "parse_response", "reset", "restore", "save", "select", "set", "shutdown", "sort", "time", "unlink", "wait",
}  # fmt: skip
COMMANDS = {name for name in dir(Redis) if not name.startswith("_") and callable(getattr(Redis, name))} - HARMLESS
#: Beginnings of our keys and of RQ's.
PREFIXES = ("{hitl}", "rq:")


def violations(source: str) -> Iterator[str]:
    """Each command that this module runs, and each key that it names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=client, attr=name)) if _is_command(client, name):
                yield f"line {node.lineno}: runs {name}"
            case ast.Constant(value=str(text)) if text.startswith(PREFIXES):
                yield f"line {node.lineno}: names {text}"
            case _:
                pass


def _is_command(client: ast.expr, method: str) -> bool:
    name = getattr(client, "id", getattr(client, "attr", ""))
    is_client = name.lower().endswith(("redis", "pipe"))
    return (is_client and method not in HARMLESS) or method in COMMANDS - AMBIGUOUS


def modules() -> list[Path]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return [file for file in files if not file.is_relative_to(ROOT / "workers/inbox")]


@pytest.mark.slow
def test_only_the_inbox_runs_commands_on_redis() -> None:
    outside = {
        f"{path}: {violation}"
        for file in modules()
        if (path := str(file.relative_to(ROOT))) not in ALLOWED
        for violation in violations(file.read_text(encoding="utf-8"))
    }

    assert len(modules()) > 150
    assert outside == set()


def test_every_exception_is_used() -> None:
    for path in sorted(ALLOWED):
        assert list(violations((ROOT / path).read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("folder", ["workers", "workers/reconcile", "workers/handlers", "service/web", "service/cli"])
@pytest.mark.parametrize("name", ["keys", "scripts"])
def test_the_linter_refuses_the_names_of_keys(folder: str, name: str) -> None:
    arguments = ["check", "--no-cache", "--output-format", "concise", "--stdin-filename", f"{folder}/planted.py", "-"]

    run = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments],
        cwd=ROOT, input=f"from workers.inbox import {name}\n", capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert f"`workers.inbox.{name}` is banned" in run.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "redis.get('key')",
        "self._redis.delete('key')",
        "keeper_redis.set('key', 1)",
        "self._inbox.redis.info('memory')",
        "pipe.execute()",
        "client.zadd('key', {})",
        "client.hgetall('key')",
        "client.register_script('return 1')",
        "client.pipeline()",
        "NAME = '{hitl}:due'",
        "NAME = 'rq:queue:hitl'",
        "NAME = f'{{hitl}}:{name}'",
    ],
)
def test_a_violation_is_found(statement: str) -> None:
    assert list(violations(statement))


@pytest.mark.parametrize("statement", ["redis.close()", "await redis.aclose()", "fields.get('key')", "read(redis)"])
def test_handing_a_client_on_is_no_violation(statement: str) -> None:
    assert not list(violations(statement))
