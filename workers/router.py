"""The router: handlers, registered once at import, and which of them a decision is for."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Never, TypeAlias, TypeVar, overload

from msgspec import structs

from workers.callables import check_handler, check_name
from workers.conditions import Condition, Keys, Predicate
from workers.decision import Decision
from workers.errors import RouteInvalid
from workers.event_names import check_events, did_you_mean, slip
from workers.fields import COMPILERS
from workers.options import compile_options
from workers.registration import by_name, with_rule
from workers.route import Route, Rule, any_accepts

Handler = TypeVar("Handler", bound=Callable[[Decision], Any])
#: A route that hears an event name, and the test of the rules that do.
_Candidate: TypeAlias = tuple[Route, Callable[[Decision], bool]]

#: An option that was not given; None would be a value that came out of some empty setting.
_LEFT_OUT: Any = object()
#: Names of events come from outside: so many are remembered, the rest looked up each time.
_MOST_NAMES = 256


class Router:
    """Handlers and when they are wanted; pure, and asked for every event."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._otherwise: Route | None = None
        self._heard: dict[str, tuple[_Candidate, ...]] = {}

    # -- registering -----------------------------------------------------------------------------------

    def on(
        self,
        *events: str,
        loop: Condition = _LEFT_OUT,
        response: Condition = _LEFT_OUT,
        response_type: Condition = _LEFT_OUT,
        reviewer: Condition = _LEFT_OUT,
        metadata: Keys = _LEFT_OUT,
        state: Keys = _LEFT_OUT,
        source: Condition = _LEFT_OUT,
        outcome: Condition = _LEFT_OUT,
        trust: Condition = _LEFT_OUT,
        when: Predicate = _LEFT_OUT,
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **unknown: Never,
    ) -> Callable[[Handler], Handler]:
        """Run the function for these events, where every condition holds; stack it for "or".

        An event is a name, or a beginning and a star: ``"request.*"``. A condition is a value, a collection
        of values, a range (`between`) or a function of the value; a list answer matches by any of its
        elements, and what is None matches only ``[None, ...]`` or a function. Functions are asked last,
        `when` (of the whole decision) at the very end, and nothing is asked once something does not hold.

        * `response`: compared with the response and its labels, in the label's or the slug's spelling.
        * `loop`: its id or name. `reviewer`: id, e-mail or name; a function gets the `Reviewer` or None.
        * `metadata`, `state`: ``{"key": condition}``, or a function of the whole.
        * `late`, `conflict`: run also for what arrived after its request had ended, or contradicts how it
          ended (see `Decision`). By default such decisions are kept and run nothing.
        * `name`: what the effects are kept under; the function's own name by default.

        Raises `RouteInvalid` for what could never work.
        """
        _refuse_unknown(unknown, (*COMPILERS, "late", "conflict", "name"))
        for event in check_events(events):
            if meant := slip(event):
                warnings.warn(f"on({event!r}): HITL.sh documents no such event; is it {meant!r}?", stacklevel=2)
        rule = _rule(events, late, conflict, {
            "loop": loop, "response": response, "response_type": response_type, "reviewer": reviewer,
            "metadata": metadata, "state": state, "source": source, "outcome": outcome, "trust": trust,
            "when": when,
        })  # fmt: skip

        def register(handler: Handler) -> Handler:
            self._add(handler, rule, name)
            return handler

        return register

    @overload
    def otherwise(self, handler: Handler, /) -> Handler: ...

    @overload
    def otherwise(
        self, handler: None = None, /, *, late: bool = False, conflict: bool = False, name: str | None = None
    ) -> Callable[[Handler], Handler]: ...

    def otherwise(
        self,
        handler: Any = None,
        /,
        *,
        late: bool = False,
        conflict: bool = False,
        name: str | None = None,
        **unknown: Any,
    ) -> Any:
        """Run the function for every event that no `on` route wants; with or without parentheses."""
        _refuse_unknown(unknown, ("late", "conflict", "name"))
        rule = _rule(("*",), late, conflict, {})

        def register(handler: Handler) -> Handler:
            self._add(handler, rule, name, otherwise=True)
            return handler

        return register if handler is None else register(handler)

    def include(self, other: "Router", prefix: str | None = None) -> None:
        """Take over another router's routes as they are now, named ``prefix.name``: all of them or, on a
        name that is taken, none (`RouteInvalid`). Its `otherwise` becomes that of the whole.
        """
        if other is self or not isinstance(other, Router):
            raise RouteInvalid(f"include({other!r}): give another Router, such as include(billing.router)")
        before = "" if prefix is None else f"{check_name(prefix)}."
        added = [structs.replace(route, name=check_name(f"{before}{route.name}")) for route in other.routes]
        self._keep([*self._routes.values(), *added])

    # -- asking ----------------------------------------------------------------------------------------

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route, in the order declared."""
        return tuple(self._routes.values())

    def match(self, decision: Decision) -> tuple[Route, ...]:
        """Every route the decision is for, in the order declared; never raises.

        Where a predicate raises, its route is among them: undecided is not unwanted, and `Route.matches`
        will say what is wrong where it can be seen and tried again.
        """
        found = []
        for route, accepts in self._candidates(decision.event):
            try:
                if accepts(decision):
                    found.append(route)
            except Exception:  # noqa: BLE001 - a predicate is the user's; its effect raises the same, visibly
                found.append(route)
        if not found and self._otherwise is not None and self._otherwise.matches(decision):
            found.append(self._otherwise)
        return tuple(found)

    def hears(self, event: str) -> bool:
        """Some route might want an event of that name; asks no predicate."""
        return self._otherwise is not None or bool(self._candidates(event))

    def get(self, name: str) -> Route | None:
        """The route of that name, if there is one."""
        return self._routes.get(name)

    def __getitem__(self, name: str) -> Route:
        if name not in self._routes:
            raise KeyError(f"no route is named {name!r}{did_you_mean(name, self._routes)}")
        return self._routes[name]

    def __repr__(self) -> str:
        return f"<Router: {', '.join(self._routes) or 'no routes'}>"

    # -- keeping ---------------------------------------------------------------------------------------

    def _candidates(self, event: str) -> tuple[_Candidate, ...]:
        heard = self._heard.get(event)
        if heard is None:
            heard = tuple(_candidate(route, event) for route in self._routes.values() if _may_hear(route, event))
            if len(self._heard) < _MOST_NAMES:
                self._heard[event] = heard
        return heard

    def _add(self, handler: Any, rule: Rule, name: str | None, *, otherwise: bool = False) -> None:
        check_handler(handler)
        self._keep(with_rule(self.routes, handler, rule, name, otherwise=otherwise))

    def _keep(self, routes: Iterable[Route]) -> None:
        """All of these routes, or on a fault none of them."""
        kept = by_name(routes)
        self._otherwise = next((route for route in kept.values() if route.otherwise), None)
        self._routes, self._heard = kept, {}


def _rule(events: tuple[str, ...], late: bool, conflict: bool, options: Mapping[str, Any]) -> Rule:
    for option, flag in (("late", late), ("conflict", conflict)):
        if not isinstance(flag, bool):
            raise RouteInvalid(f"{option}={flag!r}: write {option}=True to run for such decisions too")
    given = {option: condition for option, condition in options.items() if condition is not _LEFT_OUT}
    return Rule(events=events, requirements=compile_options(given, events), late=late, conflict=conflict)


def _refuse_unknown(unknown: Iterable[str], known: Iterable[str]) -> None:
    for option in unknown:
        hint = did_you_mean(option, known)
        raise RouteInvalid(f"{option}= is no option{hint}; there are {', '.join(known)}")


def _may_hear(route: Route, event: str) -> bool:
    return not route.otherwise and route.hears(event)


def _candidate(route: Route, event: str) -> _Candidate:
    rules = tuple(rule for rule in route.rules if rule.hears(event))
    return route, rules[0].accepts if len(rules) == 1 else partial(any_accepts, rules)
