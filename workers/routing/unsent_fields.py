"""Finds fields that routes read and that HITL.sh does not send with every delivery; only an API key provides them.

Pure; used for the warning at start. Follows the table of docs/handlers.md, "Fields of a decision".
"""

from collections.abc import Collection, Iterable
from typing import Literal, get_args

import msgspec

from workers.routing.conditions import Choice
from workers.routing.decision_fields import is_id
from workers.routing.route import Route, Rule
from workers.routing.route_options import NO_FIELDS, Requirement

#: How a decision arrives.
DeliveryPath = Literal["callback URL", "account webhook"]
DELIVERY_PATHS: tuple[DeliveryPath, ...] = get_args(DeliveryPath)

#: Fields, as `Decision.missing` names them, that an outcome may lack when it arrives by one path alone.
_LACKING: dict[DeliveryPath, frozenset[str]] = {
    "callback URL": frozenset({"context", "default_response", "loop_name", "question", "response_type"}),
    "account webhook": frozenset(
        {
            "context",
            "default_response",
            "question",
            "response",
            "response_type",
            "reviewer.name",
            "state",
            "was_edited",
        }
    ),
}
_REASONS = {
    "context": "few deliveries carry it",
    "default_response": "only the account webhook of a timeout carries it",
    "loop_name": "only an account webhook carries it",
    "question": "no delivery carries all of it",
    "response": "an account webhook carries the option's label in place of its value",
    "response_type": "a callback URL does not carry it for free text, nor any delivery for a timeout",
    "reviewer.name": "only a callback URL carries it",
    "state": "only a callback URL carries it",
    "was_edited": "an account webhook may carry the text alone",
}


class UnsentFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that one route reads and deliveries may lack."""

    route: str
    #: As `Decision.missing` names them, sorted.
    fields: tuple[str, ...]

    def describe(self) -> str:
        """The fields with the reason for each: ``state (only a callback URL carries it)``."""
        return ", ".join(f"{name} ({_REASONS[name]})" for name in self.fields)


def unsent_fields(
    routes: Iterable[Route], paths: Collection[DeliveryPath] = DELIVERY_PATHS
) -> tuple[UnsentFields, ...]:
    """Each route that reads fields which a delivery by one of these paths may lack; in the order declared.

    For a function of ``when=`` only the fields that ``needs=`` names are known.
    """
    lacking = frozenset[str]().union(*(_LACKING[path] for path in paths))
    lacking_by_route = ((route.name, lacking & _fields_of(route)) for route in routes)
    return tuple(UnsentFields(route=name, fields=tuple(sorted(fields))) for name, fields in lacking_by_route if fields)


def _fields_of(route: Route) -> frozenset[str]:
    return frozenset[str]().union(*(_fields(each, rule) for rule in route.rules for each in rule.requirements))


def _fields(requirement: Requirement, rule: Rule) -> frozenset[str]:
    """The fields without which the requirement may fail."""
    strings = NO_FIELDS if requirement.is_user_code else _strings(requirement)
    match requirement.option:
        case "loop":
            return NO_FIELDS if strings and all(map(is_id, strings)) else frozenset({"loop_name"})
        case "reviewer":
            is_sure = strings and all(is_id(name) or "@" in name for name in strings)
            return NO_FIELDS if is_sure else frozenset({"reviewer.name"})
        case "response":
            # A value is compared with the label too.
            return frozenset({"response"}) if requirement.is_user_code else NO_FIELDS
        case "response_type":
            is_sure = strings and "text" not in strings and not _is_for_unanswered(rule)
            return NO_FIELDS if is_sure else frozenset({"response_type"})
    return requirement.needs


def _strings(requirement: Requirement) -> frozenset[str]:
    if requirement.option in ("metadata", "state"):
        return NO_FIELDS
    return Choice.of(requirement.condition, requirement.option).strings


def _is_for_unanswered(rule: Rule) -> bool:
    return rule.listens_to("request.timeout") or rule.listens_to("request.cancelled")
