"""What may be registered: plain callables of one argument, looked at before they are ever called."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from workers.errors import RouteInvalid

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def check_handler(handler: Any) -> None:
    """Refuse with `RouteInvalid` what could never run as a handler."""
    called = name_of(handler)
    if not callable(handler):
        raise RouteInvalid(f"{handler!r} is not a function: put @router.on(...) above a `def` or `async def`")
    if isinstance(handler, type):
        raise RouteInvalid(f"{called} is a class: register an instance with __call__, or a function")
    if _is(handler, inspect.isgeneratorfunction) or _is(handler, inspect.isasyncgenfunction):
        raise RouteInvalid(f"{called} is a generator: its body would never run; remove the `yield`")
    if not _takes_one_argument(handler):
        raise RouteInvalid(
            f"{called}{inspect.signature(handler)} cannot be called with one argument, the decision: "
            f"write `def {called}(decision)`, bind the rest with functools.partial, "
            f"and register a method from its instance"
        )


def check_predicate(predicate: Any, where: str) -> None:
    """Refuse with `RouteInvalid` what would always or never hold: a class, a coroutine, a generator."""
    described = f"{where}={name_of(predicate)}"
    if not callable(predicate):
        raise RouteInvalid(f"{where}={predicate!r} is not a function: write one that returns True or False")
    if isinstance(predicate, type):
        raise RouteInvalid(f"{described} is a class: write a function that returns True or False")
    if any(_is(predicate, kind) for kind in _NOT_PLAIN):
        raise RouteInvalid(
            f"{described} must be a plain `def`: what async functions and generators return is never False"
        )
    if not _takes_one_argument(predicate):
        raise RouteInvalid(f"{described} must take one argument, the value to judge")


def is_async(handler: Any) -> bool:
    """Calling it gives a coroutine; also for partials of, and instances with, an async function."""
    return _is(handler, inspect.iscoroutinefunction)


def route_name(handler: Any, name: str | None) -> str:
    """The given name, or the handler's own; raises `RouteInvalid` when it cannot be one."""
    chosen = name_of(handler) if name is None else name
    if name is None and chosen == "<lambda>":
        raise RouteInvalid("a lambda has no name to keep its effects under: add name='...' to @router.on(...)")
    return check_name(chosen)


def check_name(name: Any) -> str:
    """The name, fit to be kept in the inbox; raises `RouteInvalid` otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RouteInvalid(f"name={name!r}: use 1 to 100 of the characters A-Z a-z 0-9 _ . - (as name='pay-out')")
    return name


def name_of(function: Any) -> str:
    """How to speak of a callable: its name, that of what a partial calls, or its class."""
    called = _unwrapped(function)
    return str(getattr(called, "__name__", type(called).__name__))


def place_of(function: Any) -> str:
    """Where to look for it, as ``module.name``."""
    called = _unwrapped(function)
    named = called if hasattr(called, "__qualname__") else type(called)
    return f"{getattr(named, '__module__', '?')}.{named.__qualname__}"


def _unwrapped(function: Any) -> Any:
    return function.func if isinstance(function, functools.partial) else function


def _is(function: Any, kind: Callable[[Any], bool]) -> bool:
    # inspect does not look into instances with __call__.
    called = _unwrapped(function)
    return kind(called) or kind(getattr(type(called), "__call__", None))  # noqa: B004 - not a callable() test


_NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _takes_one_argument(function: Any) -> bool:
    try:
        inspect.signature(function).bind(object())
    except ValueError:
        return True  # some builtins tell no signature: nothing to hold against them
    except TypeError:
        return False
    return True
