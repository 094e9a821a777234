"""What was asked in a request: read from a create body, the API, or an account webhook, and merged.

Field names and limits are those of https://docs.hitl.sh (requests/create, responses/types). No reader raises:
a value of the wrong type is left out.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from hitlsh.events import Event
from hitlsh.slugs import ascii_slug
from hitlsh.webhooks.payload_fields import mapping, text
from hitlsh.webhooks.responses import spelling

#: Characters of a request's text that are kept.
LONGEST_TEXT = 2_000
#: Bytes of the context or of a default as JSON; a larger one is left out.
LARGEST_OBJECT = 16_384
#: Bytes of the response configuration as JSON, which is needed to read an answer: 20 options of the longest values and
#: labels, or the longest draft, are smaller.
LARGEST_CONFIG = 32_768
#: Characters of any other text, and how many tags are kept.
LONGEST_WORD = 200
MAX_TAGS = 20
#: Options whose spellings are kept; HITL.sh allows 20.
MAX_OPTIONS = 50

#: Where details of a request come from.
DetailsSource: TypeAlias = Literal["asked", "api", "event", "listing"]
#: Best first.
SOURCES: tuple[DetailsSource, ...] = ("asked", "api", "event", "listing")

_encode = msgspec.json.Encoder(order="sorted").encode


class OfferedOption(msgspec.Struct, frozen=True, kw_only=True):
    """An option that the reviewer could choose; for an option that is a plain string, both are that string."""

    value: str
    label: str


class RequestDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked: the question, how it could be answered, and what holds when nobody answers."""

    #: The text that the reviewer reads, at most 2,000 characters of it.
    text: str | None = None
    #: SHA-256 (hex) of the whole text, when `text` is cut.
    text_digest: str | None = None
    #: The JSON object that was attached to the request (``context``, else ``metadata``); None when it is larger
    #: than 16 KiB, which `context_digest` then tells.
    context: dict[str, Any] | None = None
    context_digest: str | None = None
    #: ``text``, ``editable_text``, ``single_select``, ``multi_select``, ``rating``, ``number`` or ``boolean``.
    response_type: str | None = None
    #: As it was sent to HITL.sh: options, scale, labels, lengths. If it exceeds 32 KiB, only the options are kept,
    #: without their descriptions.
    response_config: dict[str, Any] | None = None
    #: As HITL.sh was sent it: a value, a label or a list of them.
    default_response: Any = None
    loop_id: str | None = None
    loop_name: str | None = None
    #: ``low``, ``medium``, ``high`` or ``critical``.
    priority: str | None = None
    platform: str | None = None
    tags: tuple[str, ...] = ()
    #: Of each answer that could be chosen, the digests of its value and of its other spellings.
    spellings: tuple[tuple[str, ...], ...] = ()

    @property
    def options(self) -> tuple[OfferedOption, ...]:
        """The options of a select, in the order asked; empty for other types and where they are not known."""
        return _options(self.response_config)


NO_DETAILS = RequestDetails()


def read_details(request: Mapping[str, Any], *, loop_name: str | None = None) -> RequestDetails:
    """Read a create body, a request or a list row of the API, or the ``request`` of an account webhook."""
    asked = text(request.get("request_text"))
    attached = request.get("context") if isinstance(request.get("context"), dict) else request.get("metadata")
    context = _bounded(attached)
    tags = request.get("tags")
    response_type = _word(request.get("response_type"))
    response_config = _config(request.get("response_config"))
    return RequestDetails(
        text=asked[:LONGEST_TEXT] if asked else None,
        text_digest=hashlib.sha256(asked.encode(errors="replace")).hexdigest()
        if asked and len(asked) > LONGEST_TEXT
        else None,
        context=context,
        context_digest=hashlib.sha256(_encode(attached)).hexdigest()
        if isinstance(attached, dict) and context is None
        else None,
        response_type=response_type,
        response_config=response_config,
        default_response=_default(request.get("default_response")),
        loop_id=_word(request.get("loop_id")),
        loop_name=_word(loop_name),
        priority=_word(request.get("priority")),
        platform=_word(request.get("platform")),
        tags=tuple(tag for tag in tags if _word(tag))[:MAX_TAGS] if isinstance(tags, list) else (),
        spellings=_spellings(response_type, response_config),
    )


def details_of(event: Event) -> RequestDetails:
    """What the delivery itself says of its request."""
    return RequestDetails(
        response_type=event.response_type,
        loop_id=event.loop_id,
        loop_name=event.loop_name,
        default_response=event.default_response,
        context=event.metadata,
    )


def merge_details(best_first: Iterable[RequestDetails]) -> RequestDetails:
    """Each field from the first that has it."""
    merged: dict[str, Any] = {}
    for details in best_first:
        for name in RequestDetails.__struct_fields__:
            value = getattr(details, name)
            if value is not None and value != () and name not in merged:
                merged[name] = value
    return RequestDetails(**merged)


def _options(response_config: dict[str, Any] | None) -> tuple[OfferedOption, ...]:
    listed = (response_config or {}).get("options")
    options = map(_option, listed) if isinstance(listed, list) else ()
    return tuple(option for option in options if option is not None)


def _spellings(response_type: str | None, response_config: dict[str, Any] | None) -> tuple[tuple[str, ...], ...]:
    answers: list[tuple[Any, ...]]
    if response_type == "boolean":
        words = ((True, "true", "yes", "true_label"), (False, "false", "no", "false_label"))
        answers = [(meaning, name, short, (response_config or {}).get(label)) for meaning, name, short, label in words]
    elif response_type in ("single_select", "multi_select"):
        answers = [
            (option.value, option.label, *_ascii_slugs(option)) for option in _options(response_config)[:MAX_OPTIONS]
        ]
    else:
        return ()
    return tuple(tuple(dict.fromkeys(spelling(word) for word in answer if word is not None)) for answer in answers)


def _ascii_slugs(option: OfferedOption) -> list[str]:
    words = [word for word in (option.value, option.label) if not word.isascii()]
    return [form for word in words if (form := ascii_slug(word))]


def _option(option: Any) -> OfferedOption | None:
    if isinstance(option, str):
        return OfferedOption(value=option, label=option)
    fields = mapping(option) or {}
    value, label = text(fields.get("value")), text(fields.get("label"))
    if value is None and label is None:
        return None
    return OfferedOption(value=value or label or "", label=label or value or "")


def _config(value: Any) -> dict[str, Any] | None:
    """A configuration of bounded size: texts for the reviewer are omitted first."""
    config = _bounded(value, LARGEST_CONFIG)
    if config is not None or not isinstance(value, dict) or not isinstance(value.get("options"), list):
        return config
    options = [option for option in map(_option, value["options"]) if option is not None]
    return _bounded({"options": msgspec.to_builtins(options)}, LARGEST_CONFIG)


def _bounded(value: Any, largest: int = LARGEST_OBJECT) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and len(_encode(value)) <= largest else None


def _default(value: Any) -> Any:
    return value if value is None or len(_encode(value)) <= LARGEST_OBJECT else None


def _word(value: Any) -> str | None:
    word = text(value)
    return word if word is not None and len(word) <= LONGEST_WORD else None
