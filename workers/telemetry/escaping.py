"""Escapes text from outside, so that no character of it controls a terminal or begins a new line.

Characters that `str.isprintable` rejects are escaped: control characters (C0, DEL, C1), line and paragraph separators,
characters that reverse or hide text (bidirectional controls, zero-width and tag characters), and lone surrogates.
"""

import json
import re

_WHITE_SPACE = re.compile(r"\s")


def escape(text: str, *, keep: str = "") -> str:
    """Escape unprintable characters as Python does: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escape_json(encoded: str) -> str:
    """Escape unprintable characters of a JSON text as JSON does; line breaks between values stay."""
    if encoded.isprintable():
        return encoded
    return "".join(
        character if character.isprintable() or character == "\n" else _json_escape(character) for character in encoded
    )


def one_line(text: str) -> str:
    """Put text on one line, for a table: white space becomes a blank, the rest is escaped."""
    return text if text.isprintable() else escape(_WHITE_SPACE.sub(" ", text))


def _json_escape(character: str) -> str:
    # Above U+FFFF, JSON needs a surrogate pair.
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]
