"""A reviewer's answer, in one form for every documented form of ``response_data``.

Follows https://docs.hitl.sh, "Response types". An answer may be ``False``, ``0``, ``""`` or ``[]``: only None means
that nobody answered.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from hitlsh.events import Outcome
from hitlsh.slugs import slug
from hitlsh.webhooks import payload_fields, responses


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer: its value and the labels that the person saw."""

    #: str, list of str, int, float or bool.
    value: Any
    labels: tuple[str, ...] = ()
    #: Values and labels of the chosen options, where the options are known.
    names: tuple[str, ...] = ()
    #: For editable text: whether the reviewer changed the draft, where HITL.sh says so.
    was_edited: bool | None = None

    def matches(self, option: str) -> bool:
        """Return whether this answer is, or contains, the option; compared by value, by label and by slug."""
        chosen = self.value if isinstance(self.value, list) else [self.value]
        slugs = {slug(name) for name in (*chosen, *self.labels, *self.names) if isinstance(name, str)}
        return slug(option) in slugs


def outcome_of(status: str | None) -> Outcome | None:
    """Return the outcome of a request with this status; None for an open request and for an unknown status."""
    return None if status is None else payload_fields.outcome(payload_fields.status(status))


def read_answer(
    response_data: Any, response_type: str | None = None, response_config: Mapping[str, Any] | None = None
) -> Answer | None:
    """Read any documented form of ``response_data`` as the type of the question; None when nobody answered."""
    response = responses.parse_response(response_data)
    if response.value is None:
        return None
    config = response_config if response_config is not None else {}
    value = _as_asked(response.value, response_type, config)
    chosen = _chosen(value, config.get("options"))
    return Answer(
        value=value,
        labels=response.labels or tuple(label for _, label in chosen),
        names=tuple(name for names in chosen for name in names),
        was_edited=response.was_edited,
    )


def _as_asked(value: Any, response_type: str | None, config: Mapping[str, Any]) -> Any:
    if response_type == "multi_select" and not isinstance(value, list):
        return [value]
    if response_type == "single_select" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if response_type in ("rating", "number") and isinstance(value, str):
        return _number(value)
    if response_type == "boolean" and isinstance(value, str):
        return _boolean(value, config)
    return value


def _chosen(value: Any, options: Any) -> list[tuple[str, str]]:
    """Return value and label of each chosen option, in the order of the answer."""
    offered = [option_names(option) for option in (options if isinstance(options, list) else [])]
    by_name = {slug(name): names for names in offered for name in names}
    chosen = value if isinstance(value, list) else [value]
    slugs = [slug(name) for name in chosen if isinstance(name, str)]
    return [by_name[name] for name in slugs if name in by_name]


def option_names(option: Any) -> tuple[str, str]:
    """Return value and label of a configured option; a plain string is both."""
    if not isinstance(option, Mapping):
        return str(option), str(option)
    value = str(option.get("value", option.get("label", "")))
    return value, str(option.get("label", value))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _boolean(text: str, config: Mapping[str, Any]) -> bool | str:
    word = slug(text)
    for meaning, names in ((True, ("true", "yes")), (False, ("false", "no"))):
        label = config.get(f"{str(meaning).lower()}_label")
        if word in (names if not isinstance(label, str) else (*names, slug(label))):
            return meaning
    return text
