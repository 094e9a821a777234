"""Declares every call once, for both clients.

A group such as ``loops`` lists its calls once. On a `Client` a call returns its result, on an
`AsyncClient` it returns an awaitable of it; the type checker sees which, with all the parameters.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from hitlsh.api.http.exchange import Script
from hitlsh.api.operations import Operation
from hitlsh.api.paging import Identified, PagedList

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item", bound=Identified)


class Blocking:
    """Marks a group whose calls return their result."""


class Awaited:
    """Marks a group whose calls return an awaitable of their result."""


Mode = TypeVar("Mode", Blocking, Awaited)


class Runner(Protocol):
    """A client, as groups of calls see it."""

    def run(self, job: Any) -> Any:
        """Execute an `Operation`, or a script of several."""

    def iterate(self, listing: PagedList[Any]) -> Any:
        """Iterate over a list, page by page."""


class Group(Generic[Mode]):
    """A group of calls of one resource."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner


class ApiMethod(Generic[P, T]):
    """A call of a group; a pure function builds its operation."""

    def __init__(self, build: Callable[P, Operation[T] | Script[T]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: Group[Blocking], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaited], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    def __get__(self, group: Group[Any] | None, owner: type) -> Any:
        if group is None:
            return self

        @wraps(self.build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group.runner.run(self.build(*args, **kwargs))

        return call


class ApiListMethod(Generic[P, Item]):
    """A list of a group: an iterator on a `Client`, an async iterator on an `AsyncClient`."""

    def __init__(self, build: Callable[P, PagedList[Item]]) -> None:
        self.build = build

    @overload
    def __get__(self, group: Group[Blocking], owner: type) -> Callable[P, Iterator[Item]]: ...
    @overload
    def __get__(self, group: Group[Awaited], owner: type) -> Callable[P, AsyncIterator[Item]]: ...
    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    def __get__(self, group: Group[Any] | None, owner: type) -> Any:
        if group is None:
            return self

        @wraps(self.build)
        def iterate(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group.runner.iterate(self.build(*args, **kwargs))

        return iterate
