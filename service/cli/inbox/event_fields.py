"""Events and effects as JSON fields: no body, e-mail address or free text unless asked for."""

from typing import Any

import msgspec

from hitlsh.events import Event
from workers.inbox.event_records import EffectRecord, EventRecord, EventSummary

#: What an event may be beside its state.
FLAGS = ("late", "conflict", "overrules")
#: Response types whose answers are text that somebody wrote; other answers are options or numbers.
_FREE_TEXT_TYPES = {"text", "editable_text", None}


def event_fields(event: EventSummary, *, body: bool = False) -> dict[str, Any]:
    """One event; with `body`, personal data and the body as received are included."""
    fields = full_event_fields(event)
    if body and isinstance(event, EventRecord):
        fields["callback_state"] = event.callback.state if event.callback else None
        fields["body"] = event.body.decode(errors="replace")
    else:
        if isinstance(event, EventRecord):
            fields["callback_state"] = masked(event.callback.state) if event.callback else None
        fields["content"] = without_personal_data(event, fields["content"])
    return fields


def full_event_fields(event: EventSummary) -> dict[str, Any]:
    """One event with personal data, without its body and the state of its callback URL."""
    fields: dict[str, Any] = {**msgspec.to_builtins(event), "state": event.worst_state}
    for name in ("body", "callback"):
        fields.pop(name, None)
    fields["effects"] = [effect_fields(effect) for effect in event.effects]
    return fields


def effect_fields(effect: EffectRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(effect), "seconds": effect.seconds}


def masked(value: Any) -> Any:
    """The state of a callback URL with the length of each text in place of the text."""
    match value:
        case str():
            return f"({len(value)} characters, shown with --body)"
        case dict():
            return {name: masked(item) for name, item in value.items()}
        case list():
            return [masked(item) for item in value]
    return value


def without_personal_data(event: EventSummary, content: dict[str, Any], *, option: str = "--body") -> dict[str, Any]:
    """The content of an event without free text, names and e-mail addresses. `option`: with which they are shown."""
    fields = {name: value for name, value in content.items() if name not in {"metadata", "default_response"}}
    kind = event.content.response_type if isinstance(event.content, Event) else None
    if isinstance(fields.get("response"), str) and kind in _FREE_TEXT_TYPES:
        fields["response"] = f"({len(fields['response'])} characters, shown with {option})"
    if reviewer := fields.get("reviewer"):
        fields["reviewer"] = {name: value for name, value in reviewer.items() if name == "id" and "@" not in str(value)}
    return fields
