"""`approve`: a decorator that asks a person before a function runs."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from string import Formatter
from typing import Any, ParamSpec, TypeVar, Unpack, cast
from uuid import UUID

import msgspec

from hitlsh.api.questions.builders import boolean
from hitlsh.asking.ask_outcomes import Answered
from hitlsh.asking_client.client_errors import NotApproved
from hitlsh.asking_client.hitl import AsyncHitl, Hitl
from hitlsh.asking_client.hitl_core import ASK_OPTIONS, AskOptions, check_options
from hitlsh.asking_client.typed_outcomes import TypedOutcome

P = ParamSpec("P")
R = TypeVar("R")

_APPROVAL = boolean("Approve", "Reject")
_WRITTEN_AS_TEXT = (Decimal, date, time, timedelta, UUID)


class _Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The approval that one function needs."""

    function: Callable[..., Any]
    loop: str
    text: str
    show: frozenset[str] | None
    options: AskOptions

    def question(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, AskOptions]:
        """Text and options of the question for one call; raises TypeError for arguments that do not fit."""
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments, options = bound.arguments, self.options.copy()
        shown = {name for name in arguments if self.show is None or name in self.show}
        if "context" in options:
            shown = set()
        else:
            as_json = {name: _as_json(arguments[name]) for name in arguments if name in shown}
            options["context"] = {"function": self.function.__name__, "arguments": as_json}
        key = options.get("key")
        if key is not None:
            visible = shown | _whole_arguments(self.text) | _whole_arguments(key)
            hidden = {name: value for name, value in arguments.items() if name not in visible or not _is_json(value)}
            options["key"] = key.format_map(arguments) + _key_suffix(hidden)
        return self.text.format_map(arguments), options

    def check(self, outcome: TypedOutcome[bool]) -> None:
        """Raise `NotApproved` unless a person approved."""
        if not (isinstance(outcome, Answered) and outcome.response is True):
            raise NotApproved(self.function.__name__, outcome)


def approve(
    *,
    loop: str,
    text: str | None = None,
    show: Collection[str] | None = None,
    hitl: Hitl | AsyncHitl | None = None,
    **options: Unpack[AskOptions],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Ask a person before the function runs; without an approval it does not run, and `NotApproved` is raised.

    ``text`` and ``key``: templates of the arguments, such as ``"Refund {amount} EUR?"`` and ``"refund-{order}"``. The
    key names the action: the same call after a crash waits for the same request, and runs if that was approved. If
    other arguments differ that the reviewer sees, it raises `KeyConflict`; if the reviewer does not see them, it asks
    again. Objects that are not data (dataclasses, structs, Pydantic models) are not compared.
    ``show``: names of the arguments that the reviewer sees; by default all. Other objects are shown as their type.
    ``hitl``: `AsyncHitl` for a coroutine function, else `Hitl`; by default a new one for each call, configured by the
    environment.
    ``options``: see `AskOptions`.
    """
    check_options(options, ASK_OPTIONS)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"approve: {function.__name__} is a generator, which runs only later: decorate a function")
        is_async = inspect.iscoroutinefunction(function)
        if hitl is not None and isinstance(hitl, AsyncHitl) is not is_async:
            raise TypeError(f"approve: give {function.__name__} hitl={'AsyncHitl' if is_async else 'Hitl'}(...)")
        approval = _Approval(
            function=function,
            loop=loop,
            text=text if text is not None else f"Run {function.__name__}?",
            show=None if show is None else frozenset(show),
            options=options,
        )
        if is_async:
            return cast("Callable[P, R]", _async_wrapper(approval, cast("AsyncHitl | None", hitl)))
        return cast("Callable[P, R]", _wrapper(approval, cast("Hitl | None", hitl)))

    return decorate


def _wrapper(approval: _Approval, hitl: Hitl | None) -> Callable[..., Any]:
    @functools.wraps(approval.function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        text, options = approval.question(args, kwargs)
        if hitl is None:
            with Hitl() as new_client:
                outcome = new_client.ask(text, loop=approval.loop, answer=_APPROVAL, default=False, **options)
        else:
            outcome = hitl.ask(text, loop=approval.loop, answer=_APPROVAL, default=False, **options)
        approval.check(outcome)
        return approval.function(*args, **kwargs)

    return wrapper


def _async_wrapper(approval: _Approval, hitl: AsyncHitl | None) -> Callable[..., Any]:
    @functools.wraps(approval.function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        text, options = approval.question(args, kwargs)
        if hitl is None:
            async with AsyncHitl() as new_client:
                outcome = await new_client.ask(text, loop=approval.loop, answer=_APPROVAL, default=False, **options)
        else:
            outcome = await hitl.ask(text, loop=approval.loop, answer=_APPROVAL, default=False, **options)
        approval.check(outcome)
        return await approval.function(*args, **kwargs)

    return wrapper


def _whole_arguments(template: str) -> set[str]:
    """The arguments that a template shows unformatted."""
    return {name for _, name, spec, _ in Formatter().parse(template) if name and not spec}


def _key_suffix(hidden: Mapping[str, Any]) -> str:
    """A digest of the arguments that the reviewer does not see: an approval is valid only for the same values."""
    data = {name: msgspec.to_builtins(value, enc_hook=_as_data, str_keys=True) for name, value in hidden.items()}
    compared = {name: value for name, value in data.items() if value is not None}
    if not compared:
        return ""
    return f" {hashlib.sha256(msgspec.json.encode(compared, order='sorted')).hexdigest()[:16]}"


def _as_data(value: Any) -> Any:
    """A Pydantic model as JSON; None for objects that are not data."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) and not isinstance(value, type) else None


def _as_json(value: Any) -> Any:
    """The value as JSON; the name of its type if it has no unique JSON form, because a repr may show a secret."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, _WRITTEN_AS_TEXT):
        return str(value)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _as_json(item) for name, item in value.items()}
    return type(value).__name__


def _is_json(value: Any) -> bool:
    """Whether `_as_json` shows all of the value."""
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    return value is None or isinstance(value, (bool, int, float, str, Enum, *_WRITTEN_AS_TEXT))
