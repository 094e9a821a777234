"""Checks what may be registered: plain callables of one argument. Nothing is called."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from workers.errors import RouteInvalid

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def check_handler(handler: Any) -> None:
    """Raise `RouteInvalid` for an object that cannot run as a handler."""
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


def check_predicate(predicate: Any, option: str) -> None:
    """Raise `RouteInvalid` for a predicate that would always or never hold: a class, a coroutine, a generator."""
    described = f"{option}={name_of(predicate)}"
    if not callable(predicate):
        raise RouteInvalid(f"{option}={predicate!r} is not a function: write one that returns True or False")
    if isinstance(predicate, type):
        raise RouteInvalid(f"{described} is a class: write a function that returns True or False")
    if any(_is(predicate, kind) for kind in _NOT_PLAIN):
        raise RouteInvalid(
            f"{described} must be a plain `def`: what async functions and generators return is never False"
        )
    if not _takes_one_argument(predicate):
        raise RouteInvalid(f"{described} must take one argument, the value to judge")


def is_async(handler: Any) -> bool:
    """Whether calling it returns a coroutine; also for a partial of an async function, or an async ``__call__``."""
    return _is(handler, inspect.iscoroutinefunction)


def route_name(handler: Any, name: str | None) -> str:
    """The given name, or the handler's own; raises `RouteInvalid` for an invalid name."""
    chosen = name_of(handler) if name is None else name
    if name is None and chosen == "<lambda>":
        raise RouteInvalid("a lambda has no name to keep its effects under: add name='...' to @router.on(...)")
    return check_name(chosen)


def check_name(name: Any) -> str:
    """Return the name; raises `RouteInvalid` unless it can be part of a Redis key."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RouteInvalid(f"name={name!r}: use 1 to 100 of the characters A-Z a-z 0-9 _ . - (as name='pay-out')")
    return name


def name_of(function: Any) -> str:
    """The name of a callable for messages: its own, that of a partial's function, or its class."""
    called = _unwrapped(function)
    return str(getattr(called, "__name__", type(called).__name__))


def place_of(function: Any) -> str:
    """Where it is defined, as ``module.name``."""
    called = _unwrapped(function)
    owner = called if hasattr(called, "__qualname__") else type(called)
    return f"{getattr(owner, '__module__', '?')}.{owner.__qualname__}"


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
        return True  # some builtins have no signature: accept them
    except TypeError:
        return False
    return True
