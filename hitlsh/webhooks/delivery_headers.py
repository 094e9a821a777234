"""The headers of a delivery, in whichever form a framework gives them."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

#: A mapping (Django, Flask, Starlette, FastAPI) or pairs, in which a header may occur twice (an ASGI scope).
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
#: As an ASGI scope spells them: lower-case names, and values without the blanks around them.
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

_BLANKS = b" \t"

UnsupportedForm = Literal["unsupported_encoding", "unsupported_type"]


def raw_headers(headers: Headers) -> RawHeaders:
    """Spell headers as an ASGI scope does.

    Blanks around a value are no part of it (RFC 9110, section 5.5). A character that no header can hold
    becomes a question mark.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(_encode(name).lower(), _encode(value).strip(_BLANKS)) for name, value in pairs]


def _encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first value of a header, by its lower-case name."""
    for key, value in headers:
        if key == name:
            return value.strip(_BLANKS)
    return None


def unsupported_form(headers: Iterable[tuple[bytes, bytes]]) -> UnsupportedForm | None:
    """Tell why a body, as its headers declare it, cannot be read; None for plain JSON and for no declaration."""
    encoding = type_ = None
    for name, value in headers:
        if name == b"content-encoding" and encoding is None:
            encoding = value.strip(_BLANKS)
        elif name == b"content-type" and type_ is None:
            type_ = value
    if encoding and encoding.lower() != b"identity":
        return "unsupported_encoding"
    return "unsupported_type" if type_ and not _is_json(type_) else None


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind in {b"application/json", b"text/json"} or kind.endswith(b"+json")
