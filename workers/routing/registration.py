"""Adds routes: one function is one route, and each name is unique."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import structs

from workers.errors import RouteInvalid
from workers.routing.callables import check_name, is_async, name_of, place_of, route_name
from workers.routing.decision_fields import COMPILERS, NEEDABLE
from workers.routing.policy import POLICY_OPTIONS, Policy
from workers.routing.route import Route, Rule
from workers.routing.route_options import check_option_names, compile_options
from workers.telemetry.name_suggestions import closest_or_all
from workers.trust import check_minimum

#: The options of `on` and `forward`; `otherwise` takes all but the conditions.
OPTIONS = (*COMPILERS, "needs", "trust", "late", "conflict", "name", *POLICY_OPTIONS)
OTHERWISE_OPTIONS = ("late", "conflict", "name", *POLICY_OPTIONS)


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The content of one decorator: rule, retry policy and name."""

    rule: Rule
    policy: Policy
    name: str | None = None
    otherwise: bool = False


def route_spec(
    events: tuple[str, ...],
    options: Mapping[str, Any],
    allowed: Collection[str],
    *,
    late: bool,
    conflict: bool,
    name: str | None,
    otherwise: bool = False,
) -> RouteSpec:
    """The spec of these options; raises `RouteInvalid` for invalid ones. `allowed`: option names."""
    check_option_names(options, allowed)
    for option, flag in (("late", late), ("conflict", conflict)):
        if not isinstance(flag, bool):
            raise RouteInvalid(f"{option}={flag!r}: write {option}=True to run for such decisions too")
    conditions = {option: options[option] for option in COMPILERS if option in options}
    policy = Policy.of({option: options[option] for option in POLICY_OPTIONS if option in options})
    requirements = compile_options(conditions, events, _checked_needs(options))
    trust = check_minimum(options.get("trust", "callback"), events)
    rule = Rule(events=events, requirements=requirements, trust=trust, late=late, conflict=conflict)
    return RouteSpec(rule=rule, policy=policy, name=name, otherwise=otherwise)


def _checked_needs(options: Mapping[str, Any]) -> tuple[str, ...]:
    needs = options.get("needs", ())
    if "needs" in options and "when" not in options:
        raise RouteInvalid("needs=... says what the function of when=... reads: give both, or leave needs out")
    names = (needs,) if isinstance(needs, str) else tuple(needs)
    for name in names:
        if name not in NEEDABLE:
            raise RouteInvalid(
                f"needs={name!r} is no field that can be missing: {closest_or_all(name, sorted(NEEDABLE))}"
            )
    return names


def with_handler(routes: Iterable[Route], handler: Any, spec: RouteSpec) -> list[Route]:
    """The routes with the handler added; a handler that has a route gets one more rule."""
    extended = list(routes)
    for index, route in enumerate(extended):
        if route.handler is handler:
            extended[index] = _with_rule(route, spec)
            return extended
    return [*extended, _route(handler, spec, route_name(handler, spec.name))]


def with_sink(routes: Iterable[Route], send: Any, spec: RouteSpec, name: str) -> list[Route]:
    """The routes with one for the sink; the same sink may have several."""
    extended = list(routes)
    sink_route_name = check_name(name if spec.name is None else spec.name)
    if any(route.name == sink_route_name for route in extended):
        raise RouteInvalid(
            f"forward(...): there is a route named {sink_route_name!r} already; pass name='...' to tell them apart"
        )
    return [*extended, _route(send, spec, sink_route_name)]


def _route(handler: Any, spec: RouteSpec, name: str) -> Route:
    return Route(
        name=name,
        handler=handler,
        is_async=is_async(handler),
        rules=(spec.rule,),
        otherwise=spec.otherwise,
        policy=spec.policy,
    )


def by_name(routes: Iterable[Route]) -> dict[str, Route]:
    """The routes by name, in order; raises `RouteInvalid` for a duplicate name or a second `otherwise`."""
    routes_by_name: dict[str, Route] = {}
    for route in routes:
        if (first := routes_by_name.setdefault(route.name, route)) is not route:
            raise RouteInvalid(
                f"{place_of(first.handler)} and {place_of(route.handler)} are both named {route.name!r}: "
                f"give one of them name='...' (in the lowest decorator, if several are stacked)"
            )
    fallbacks = [route.name for route in routes_by_name.values() if route.otherwise]
    if len(fallbacks) > 1:
        raise RouteInvalid(
            f"{fallbacks[0]!r} and {fallbacks[1]!r} are both `otherwise`: keep one, "
            f"or write @router.on('*') for what should always run"
        )
    return routes_by_name


def _with_rule(route: Route, spec: RouteSpec) -> Route:
    """The route with one more rule, first: decorators run from the lowest to the topmost."""
    called = place_of(route.handler)
    if spec.otherwise or route.otherwise:
        raise RouteInvalid(f"{called} has a route: `otherwise` stands alone, without any `on`")
    if spec.name is not None and route.name not in {spec.name, name_of(route.handler)}:
        raise RouteInvalid(
            f"{called} is named {route.name!r} and {spec.name!r}: one function is one route, so name it once"
        )
    return structs.replace(
        route,
        rules=(spec.rule, *route.rules),
        policy=route.policy.combined(spec.policy),
        name=route.name if spec.name is None else check_name(spec.name),
    )
