"""What a reviewer answered, in one form whichever of the documented forms it came in.

An answer may be ``False``, ``0``, ``""`` or ``[]``: only None means that nobody answered.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from hitlsh.events import Outcome
from hitlsh.slugs import slug
from hitlsh.webhooks import payload_fields, responses


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer: a str, list, number or bool, and what the person saw for it."""

    value: Any
    labels: tuple[str, ...] = ()
    #: Every word the chosen options go by, values and labels, where the options are known.
    names: tuple[str, ...] = ()
    #: For editable text: whether the reviewer changed the draft, where HITL.sh says so.
    was_edited: bool | None = None

    def matches(self, option: str) -> bool:
        """Whether this answer is, or contains, the option: by value, by label or by snake_case form."""
        said = self.value if isinstance(self.value, list) else [self.value]
        words = {slug(word) for word in (*said, *self.labels, *self.names) if isinstance(word, str)}
        return slug(option) in words


def outcome_of(status: str | None) -> Outcome | None:
    """How a request with this status word has ended; None for one that is open or a word we do not know."""
    return None if status is None else payload_fields.outcome(payload_fields.status(status))


def read_answer(
    response_data: Any, response_type: str | None = None, response_config: Mapping[str, Any] | None = None
) -> Answer | None:
    """Read any documented form of ``response_data`` as the type that was asked; None when nobody answered."""
    said = responses.parse_response(response_data)
    if said.value is None:
        return None
    config = response_config if response_config is not None else {}
    value = _as_asked(said.value, response_type, config)
    chosen = _chosen(value, config.get("options"))
    return Answer(
        value=value,
        labels=said.labels or tuple(label for _, label in chosen),
        names=tuple(name for names in chosen for name in names),
        was_edited=said.was_edited,
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
    """Value and label of each option that was chosen, in the order of the answer."""
    offered = [option_names(option) for option in (options if isinstance(options, list) else [])]
    by_name = {slug(name): names for names in offered for name in names}
    said = [slug(word) for word in (value if isinstance(value, list) else [value]) if isinstance(word, str)]
    return [by_name[word] for word in said if word in by_name]


def option_names(option: Any) -> tuple[str, str]:
    """Value and label of an option as configured: a plain string is both."""
    if not isinstance(option, Mapping):
        return str(option), str(option)
    value = str(option.get("value", option.get("label", "")))
    return value, str(option.get("label", value))


def _number(words: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(words)
        except ValueError:
            continue
    return words


def _boolean(words: str, config: Mapping[str, Any]) -> bool | str:
    said = slug(words)
    for meaning, names in ((True, ("true", "yes")), (False, ("false", "no"))):
        label = config.get(f"{str(meaning).lower()}_label")
        if said in (names if not isinstance(label, str) else (*names, slug(label))):
            return meaning
    return words
