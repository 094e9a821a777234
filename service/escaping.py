"""Text from outside, made harmless: no character of it steers a terminal or begins a line of its own.

What `str.isprintable` refuses is escaped: control characters (C0, DEL, C1), line and paragraph separators,
characters that reverse or hide text (bidirectional controls, zero-width and tag characters), and halves of
surrogate pairs.
"""

import json
import re

_WHITE_SPACE = re.compile(r"\s")


def escape(text: str, *, keep: str = "") -> str:
    """Write what does not print as Python would: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escape_json(encoded: str) -> str:
    """Write what does not print as JSON escapes; its value and its line breaks between values stay."""
    if encoded.isprintable():
        return encoded
    return "".join(
        character if character.isprintable() or character == "\n" else _json_escape(character) for character in encoded
    )


def one_line(text: str) -> str:
    """Write on one line, for a table: each white space as a blank, the rest as `escape` does."""
    return text if text.isprintable() else escape(_WHITE_SPACE.sub(" ", text))


def _json_escape(character: str) -> str:
    # Above U+FFFF, JSON wants a surrogate pair.
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]
