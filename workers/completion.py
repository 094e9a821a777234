"""Completes an event from its tracked request, so that it reads the same in whichever form it was delivered.

Pure. A field comes from the request's details (what was asked through us, else what HITL.sh's API shows, else a signed
event or a list row), and only then from the delivery itself. An answer is never changed: it is spelled as the question
spells it. `Completion.missing` names the fields that no source has provided.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from hitlsh.callbacks import CallbackState
from hitlsh.canonical_answers import canonical_answer, whole
from hitlsh.events import Event, Trust
from hitlsh.request_details import SOURCES, RequestDetails, details_of, merge_details

#: What a route may wait for: evidence of a level, or a read of the request at HITL.sh's API.
Need: TypeAlias = Trust | Literal["details"]
#: Payload forms whose answer is a verdict such as ``approved``, not the option that was chosen.
_VERDICT_FORMS = frozenset({"global", "n8n-doc"})
_FREE_TEXT = frozenset({"text", "editable_text"})
_SELECTS = frozenset({"single_select", "multi_select"})
#: Fields that only the details of the request can supply, with what they are read from.
_ASKED_FIELDS = ("response_type", "loop_id", "loop_name")


class KnownDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the request tracker knows of one request, by source."""

    asked: RequestDetails | None = None
    api: RequestDetails | None = None
    event: RequestDetails | None = None
    listing: RequestDetails | None = None
    #: Of the callback URL that the request was given, when that is ours and known from us or from the API.
    callback: CallbackState | None = None
    #: The latest known name of its loop.
    loop_name: str | None = None
    #: The API was asked, and does not show the request.
    is_unavailable: bool = False
    #: Of the trace in which it was asked; not validated. Empty without tracing.
    traceparent: str = ""

    @property
    def is_complete(self) -> bool:
        """Everything about the request is known: a field that is empty was not given when it was asked."""
        return self.asked is not None or self.api is not None

    def merged(self) -> RequestDetails:
        """Each field from the best source that has it."""
        merged = merge_details(details for name in SOURCES if (details := getattr(self, name)) is not None)
        return msgspec.structs.replace(merged, loop_name=self.loop_name or merged.loop_name)


NOTHING_KNOWN = KnownDetails()


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """An event with all that is known of its request."""

    event: Event
    details: RequestDetails
    #: What the request's callback URL carries.
    state: Any
    #: Fields of `Decision` that no source has provided, such as ``state``, ``context`` or ``reviewer.name``; sorted.
    missing: tuple[str, ...] = ()
    #: The answer was not offered: an unknown option, off the scale, or of another type than was asked for.
    is_unexpected: bool = False


def complete(event: Event, known: KnownDetails = NOTHING_KNOWN, *, callback: CallbackState | None = None) -> Completion:
    """Complete an event of a request; any other event has nothing missing and stays as it is.

    `callback`: the state of the callback URL by which this event was delivered.
    """
    request_callback = callback or known.callback
    state = request_callback.state if request_callback is not None else None
    if event.request_id is None or not event.name.startswith("request."):
        return Completion(event=event, details=RequestDetails(), state=state)
    details = merge_details([known.merged(), details_of(event)])
    completed = msgspec.structs.replace(
        event,
        response_type=details.response_type,
        loop_id=details.loop_id,
        loop_name=details.loop_name,
        default_response=_default(details),
        metadata=details.context,
    )
    is_unexpected = False
    missing = _missing_details(event, known, details, has_state=request_callback is not None)
    if event.outcome == "completed" and event.response is not None:
        if details.response_type is None:
            completed = msgspec.structs.replace(completed, response=whole(event.response))
            is_known = known.is_complete or _is_value(event)
        else:
            answer = canonical_answer(event.response, event.labels, details)
            labels = event.labels if details.response_config is None else answer.labels
            was_edited = _was_edited(event, answer.value, details)
            completed = msgspec.structs.replace(completed, response=answer.value, labels=labels, was_edited=was_edited)
            is_known = (
                event.variant not in _VERDICT_FORMS if not answer.is_offered else _is_canonical(event, known, details)
            )
            is_unexpected = not answer.is_offered and is_known
        if not is_known:
            missing.add("response")
    return Completion(
        event=completed,
        details=details,
        state=state,
        missing=tuple(sorted(missing | _missing_reviewer(event) | _missing_outcome_fields(completed))),
        is_unexpected=is_unexpected,
    )


def _default(details: RequestDetails) -> Any:
    if details.default_response is None or details.response_type is None:
        return whole(details.default_response)
    return canonical_answer(details.default_response, (), details).value


def _was_edited(event: Event, answer: Any, details: RequestDetails) -> bool | None:
    """Whether the reviewer changed the draft, which the question has where the delivery does not say."""
    draft = (details.response_config or {}).get("draft_text")
    if event.was_edited is not None or details.response_type != "editable_text" or not isinstance(draft, str):
        return event.was_edited
    return bool(answer != draft)


def _is_value(event: Event) -> bool:
    """Whether the answer is surely the value itself: of a question that is not known, a word may be a label."""
    if event.variant in _VERDICT_FORMS:
        return False
    # This form has no field for the type: that is known from an object which has the value by name.
    is_named = event.variant == "callback-v2" and event.response_type in _SELECTS
    items = event.response if isinstance(event.response, list) else [event.response]
    return bool(event.labels) or is_named or not any(isinstance(item, str) for item in items)


def _is_canonical(event: Event, known: KnownDetails, details: RequestDetails) -> bool:
    """Whether the answer is spelled as the question spells it: of a select, its options must be known."""
    if known.is_complete or details.response_type not in _SELECTS:
        return True
    return bool(details.options) or _is_value(event)


def _missing_details(event: Event, known: KnownDetails, details: RequestDetails, *, has_state: bool) -> set[str]:
    missing = {name for name in _ASKED_FIELDS if getattr(details, name) is None}
    if details.context is None and details.context_digest is not None:
        missing.add("context")  # it is too large to be stored
    if known.is_complete:
        return missing
    unknown = {
        "default_response": details.default_response is None,
        "state": not has_state,
        "context": details.context is None,
        "question": True,
    }
    return missing | {name for name, is_unknown in unknown.items() if is_unknown}


def _missing_outcome_fields(event: Event) -> set[str]:
    """Missing fields of one kind of outcome that only some of its deliveries carry."""
    missing = set()
    if event.outcome == "completed" and event.response_type == "editable_text" and event.was_edited is None:
        missing.add("was_edited")
    if event.outcome == "cancelled" and event.refund_info is None:
        missing.add("refund_info")
    return missing


def _missing_reviewer(event: Event) -> set[str]:
    if event.source != "human":
        return set()
    if event.reviewer is None:
        return {"reviewer.id", "reviewer.name", "reviewer.email"}
    return {f"reviewer.{name}" for name in ("id", "name", "email") if getattr(event.reviewer, name) is None}
