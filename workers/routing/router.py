"""The router: handlers are registered at import, and matched against decisions."""

import warnings
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar, Unpack, overload

from msgspec import structs

from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.event_names import check_events, closest_event_name
from workers.routing.callables import check_handler, check_name
from workers.routing.forwarding import SINK_CONCURRENCY, Sink, events_of, sender, sink_name
from workers.routing.policy import PolicyOptions
from workers.routing.registration import (
    OPTIONS,
    OTHERWISE_OPTIONS,
    RouteSpec,
    by_name,
    route_spec,
    with_handler,
    with_sink,
)
from workers.routing.route import Route, Wait, any_accepts
from workers.routing.route_options import NO_FIELDS, RouteOptions
from workers.telemetry.name_suggestions import did_you_mean
from workers.trust import is_confirmable

Handler = TypeVar("Handler", bound=Callable[[Decision], Any])
#: Event names come from outside, so the cache of routes by event name is bounded.
_MAX_CACHED_NAMES = 256


class _Candidate(NamedTuple):
    """A route that listens to an event name."""

    route: Route
    #: Whether one of its rules for that event holds.
    accepts: Callable[[Decision], bool]


class Router:
    """Handlers with the conditions under which they run. Matching is pure."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._otherwise: Route | None = None
        #: Routes with a rule that demands more trust than `callback`.
        self._demanding: tuple[Route, ...] = ()
        self._candidates_by_event: dict[str, tuple[_Candidate, ...]] = {}

    # -- registering -----------------------------------------------------------------------------------

    def on(
        self,
        *events: str,
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **options: Unpack[RouteOptions],
    ) -> Callable[[Handler], Handler]:
        """Run the function for these events if every condition holds; stack decorators for "or".

        An event is a name, or a prefix and a star: ``"request.*"``. A condition is a value, a collection of values, a
        range (`between`) or a function of the value. A list answer matches if any of its elements does; None matches
        only ``[None, ...]`` or a function. Functions are called last, `when` (of the whole decision) at the very end,
        and none is called once a condition does not hold.

        * `response`: compared with the response and its labels, in the label's or the slug's spelling.
        * `loop`: its id or name. `reviewer`: id, e-mail or name; a function gets the `Reviewer` or None.
        * `metadata`, `state`: ``{"key": condition}``, or a function of the whole.
        * `response_type`, `source`, `outcome`: one of the values that `Decision` documents, or several.
        * `trust`: the least trust that the function demands: ``"callback"``, ``"signed"`` or ``"confirmed"``. For a
          decision with less, the function waits for stronger evidence (a signed delivery for ``"signed"``, or
          HITL.sh's API, which is asked) and runs with that; it does not run if that evidence differs.
        * `late`, `conflict`: run also for an event that arrives after its request has ended, or that differs from the
          decision (see `Decision`). By default such events are stored and run nothing.
        * `name`: the name under which effects are stored; by default the function's name.

        Retry policy, with the defaults of `Policy`: `attempts`, ``backoff=(first, longest)`` and `timeout` in seconds,
        and `concurrency`, the number of attempts that may run at once across all workers.

        Raises `RouteInvalid` for invalid options.
        """
        spec = route_spec(_checked(events), options, OPTIONS, late=late, conflict=conflict, name=name)

        def register(handler: Handler) -> Handler:
            self._add(handler, spec)
            return handler

        return register

    @overload
    def otherwise(self, handler: Handler, /) -> Handler: ...

    @overload
    def otherwise(
        self,
        handler: None = None,
        /,
        *,
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> Callable[[Handler], Handler]: ...

    def otherwise(
        self,
        handler: Any = None,
        /,
        *,
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> Any:
        """Run the function for every event that no other route matches, nor would match with more trust.

        Usable with or without parentheses.
        """
        spec = route_spec(("*",), policy, OTHERWISE_OPTIONS, late=late, conflict=conflict, name=name, otherwise=True)

        def register(handler: Handler) -> Handler:
            self._add(handler, spec)
            return handler

        return register if handler is None else register(handler)

    def forward(
        self,
        sink: Sink,
        *,
        on: str | Collection[str],
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Send to the sink every decision for which `on` with the same events and options would run a function.

        Each is one effect, retried and listed as failed like a handler's. By default 10 run at once (`concurrency`), so
        that a slow target leaves room for others, and the route has the sink's name. Raises `RouteInvalid` for invalid
        options and for a name that is taken.
        """
        send = sender(sink)
        stated = {"concurrency": SINK_CONCURRENCY, **options}
        spec = route_spec(_checked(events_of(on)), stated, OPTIONS, late=late, conflict=conflict, name=name)
        self._replace_routes(with_sink(self.routes, send, spec, sink_name(sink)))

    def include(self, other: "Router", prefix: str | None = None) -> None:
        """Add another router's current routes, named ``prefix.name``; its `otherwise` becomes this router's.

        Raises `RouteInvalid`, and adds none, if a name is taken.
        """
        if other is self or not isinstance(other, Router):
            raise RouteInvalid(f"include({other!r}): give another Router, such as include(billing.router)")
        before = "" if prefix is None else f"{check_name(prefix)}."
        added = [structs.replace(route, name=check_name(f"{before}{route.name}")) for route in other.routes]
        self._replace_routes([*self._routes.values(), *added])

    # -- matching --------------------------------------------------------------------------------------

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route, in order of declaration."""
        return tuple(self._routes.values())

    def match(self, decision: Decision) -> tuple[Route, ...]:
        """Every route that matches the decision as it is, in order of declaration; never raises.

        A route whose predicate raises is included: its effect calls `Route.matches` again, where the exception is
        logged and the effect retried.
        """
        matched = self._matched(decision)
        if not matched and self._falls_to_otherwise(decision, matched):
            return (self._otherwise,) if self._otherwise is not None else ()
        return matched

    def waits(self, decision: Decision) -> tuple[Wait, ...]:
        """Every route that needs more trust or fields than the decision has, and what it needs; never raises."""
        waits, fallback = self._waits(decision), self._otherwise
        if fallback is None or self._matched(decision):
            return waits
        if decision.is_doubtful:
            fallback_wait = None if any(wait.is_urgent for wait in waits) else fallback.waits(decision)
            return waits if fallback_wait is None else (*waits, fallback_wait)
        if not fallback.matches(decision) or not any(wait.needs == "details" for wait in waits):
            return waits
        return (*waits, Wait(fallback, "details", is_urgent=True))

    def wants(self, route: Route, decision: Decision) -> bool:
        """Whether this route runs for the decision; raises what a predicate raises.

        An `otherwise` route runs if no other route matches, nor could match with more fields.
        """
        if not route.otherwise:
            return route.matches(decision)
        return self._falls_to_otherwise(decision, self._matched(decision))

    def _matched(self, decision: Decision) -> tuple[Route, ...]:
        """The matching routes, without `otherwise`."""
        matched = []
        for route, accepts in self._candidates(decision.event):
            try:
                if accepts(decision):
                    matched.append(route)
            except Exception:  # noqa: BLE001 - a predicate is the user's; its effect raises the same, visibly
                matched.append(route)
        return tuple(matched)

    def _waits(self, decision: Decision) -> tuple[Wait, ...]:
        """The waiting routes, without `otherwise`."""
        if decision.is_completable or decision.is_doubtful:
            routes: Iterable[Route] = (route for route in self._routes.values() if not route.otherwise)
        elif self._demanding and is_confirmable(decision):
            routes = self._demanding
        else:
            return ()
        settled = self._sufficient_fields(decision)
        return tuple(wait for route in routes if (wait := route.waits(decision, settled)))

    def _sufficient_fields(self, decision: Decision) -> frozenset[str]:
        """Fields whose delivered form suffices: the response, if a route names it in the delivered spelling."""
        if "response" not in decision.missing:
            return NO_FIELDS
        is_named = any(route.recognises_answer(decision) for route in self._routes.values())
        return frozenset({"response"}) if is_named else NO_FIELDS

    def _falls_to_otherwise(self, decision: Decision, matched: tuple[Route, ...]) -> bool:
        """Whether `otherwise` runs: no route matches, nor could match with more fields, and its own rule holds."""
        fallback = self._otherwise
        if fallback is None or matched or not fallback.matches(decision):
            return False
        return not any(wait.is_urgent for wait in self._waits(decision))

    @property
    def demands_confirmation(self) -> tuple[str, ...]:
        """Names of the routes that accept only confirmed decisions."""
        return tuple(route.name for route in self.routes if route.demands_confirmation)

    def listens_to(self, event: str) -> bool:
        """Some route might want an event of that name; asks no predicate."""
        return self._otherwise is not None or bool(self._candidates(event))

    def get(self, name: str) -> Route | None:
        """The route of that name, or None."""
        return self._routes.get(name)

    def __getitem__(self, name: str) -> Route:
        if name not in self._routes:
            raise KeyError(f"no route is named {name!r}{did_you_mean(name, self._routes)}")
        return self._routes[name]

    def __repr__(self) -> str:
        return f"<Router: {', '.join(self._routes) or 'no routes'}>"

    # -- storing ---------------------------------------------------------------------------------------

    def _candidates(self, event: str) -> tuple[_Candidate, ...]:
        candidates = self._candidates_by_event.get(event)
        if candidates is None:
            candidates = tuple(_candidate(route, event) for route in self._routes.values() if _may_run(route, event))
            if len(self._candidates_by_event) < _MAX_CACHED_NAMES:
                self._candidates_by_event[event] = candidates
        return candidates

    def _add(self, handler: Any, spec: RouteSpec) -> None:
        check_handler(handler)
        self._replace_routes(with_handler(self.routes, handler, spec))

    def _replace_routes(self, routes: Iterable[Route]) -> None:
        """Replace the routes; if one is invalid, keep the old ones."""
        by_route_name = by_name(routes)
        self._otherwise = next((route for route in by_route_name.values() if route.otherwise), None)
        self._demanding = tuple(
            route for route in by_route_name.values() if any(rule.trust != "callback" for rule in route.rules)
        )
        self._routes, self._candidates_by_event = by_route_name, {}


def _checked(events: tuple[Any, ...]) -> tuple[str, ...]:
    for event in check_events(events):
        if closest := closest_event_name(event):
            warnings.warn(f"on({event!r}): HITL.sh documents no such event; is it {closest!r}?", stacklevel=3)
    return events


def _may_run(route: Route, event: str) -> bool:
    return not route.otherwise and route.listens_to(event)


def _candidate(route: Route, event: str) -> _Candidate:
    rules = tuple(rule for rule in route.rules if rule.listens_to(event))
    return _Candidate(
        route,
        accepts=rules[0].accepts if len(rules) == 1 else partial(any_accepts, rules),
    )
