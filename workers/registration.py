"""Adding routes to routes: one function is one route, and every name is taken once."""

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from workers.callables import check_name, is_async, name_of, place_of, route_name
from workers.errors import RouteInvalid
from workers.route import Route, Rule


def with_rule(routes: Iterable[Route], handler: Any, rule: Rule, name: str | None, *, otherwise: bool) -> list[Route]:
    """The routes and this handler's; a handler that is among them already gets one more rule."""
    kept = list(routes)
    for place, known in enumerate(kept):
        if known.handler is handler:
            kept[place] = _stacked(known, rule, name, otherwise)
            return kept
    own = route_name(handler, name)
    return [
        *kept,
        Route(name=own, handler=handler, is_async=is_async(handler), rules=(rule,), otherwise=otherwise),
    ]


def by_name(routes: Iterable[Route]) -> dict[str, Route]:
    """The routes by name, in order; raises `RouteInvalid` for a name or an `otherwise` given twice."""
    kept: dict[str, Route] = {}
    for route in routes:
        if (first := kept.setdefault(route.name, route)) is not route:
            raise RouteInvalid(
                f"{place_of(first.handler)} and {place_of(route.handler)} are both named {route.name!r}: "
                f"give one of them name='...' (in the lowest decorator, if several are stacked)"
            )
    fallbacks = [route.name for route in kept.values() if route.otherwise]
    if len(fallbacks) > 1:
        raise RouteInvalid(
            f"{fallbacks[0]!r} and {fallbacks[1]!r} are both `otherwise`: keep one, "
            f"or write @router.on('*') for what should always run"
        )
    return kept


def _stacked(known: Route, rule: Rule, name: str | None, otherwise: bool) -> Route:
    """Decorators run from the lowest to the topmost: the newest rule is the first to read."""
    called = place_of(known.handler)
    if otherwise or known.otherwise:
        raise RouteInvalid(f"{called} has a route: `otherwise` stands alone, without any `on`")
    if name is not None and known.name not in {name, name_of(known.handler)}:
        raise RouteInvalid(f"{called} is named {known.name!r} and {name!r}: one function is one route, so name it once")
    return structs.replace(known, rules=(rule, *known.rules), name=known.name if name is None else check_name(name))
