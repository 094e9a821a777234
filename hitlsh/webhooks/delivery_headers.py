"""The headers of a delivery, in the form of any framework."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

#: A mapping (Django, Flask, Starlette, FastAPI) or pairs, in which a header may occur twice (an ASGI scope).
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
#: Headers as an ASGI scope spells them: lower-case names, and values without surrounding blanks.
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

_BLANKS = b" \t"

UnsupportedForm = Literal["unsupported_encoding", "unsupported_type"]


def raw_headers(headers: Headers) -> RawHeaders:
    """Return headers as an ASGI scope spells them.

    Blanks around a value are not part of it (RFC 9110, section 5.5). A character that a header cannot hold becomes a
    question mark.
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
    """Return why a body cannot be read, by its headers; None for JSON, and where the headers do not say."""
    encoding = content_type = None
    for name, value in headers:
        if name == b"content-encoding" and encoding is None:
            encoding = value.strip(_BLANKS)
        elif name == b"content-type" and content_type is None:
            content_type = value
    if encoding and encoding.lower() != b"identity":
        return "unsupported_encoding"
    return "unsupported_type" if content_type and not _is_json(content_type) else None


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.split(b";", 1)[0].strip().lower()
    return media_type in {b"application/json", b"text/json"} or media_type.endswith(b"+json")
