"""The one rule that turns the text of an option into the value HITL.sh makes of it.

Follows https://docs.hitl.sh, "Response types": a plain option ``Approve with Warning`` gets the value
``approve_with_warning``.
"""

import re

_SEPARATORS = re.compile(r"[\W_]+")


def slug(text: str) -> str:
    """Return the snake_case form of an option's text, to compare two spellings of one option.

    A text without a letter is returned as it is: ``-1`` and ``1`` are two options.
    """
    words = _SEPARATORS.sub("_", text.lower()).strip("_")
    return words if any(character.isalpha() for character in words) else text


_NOT_ASCII_WORDS = re.compile(r"[^a-z0-9]+")


def ascii_slug(text: str) -> str:
    """Return the snake_case form of ASCII letters and digits only: ``gr_er`` for "Größer".

    No page says what becomes of other letters. Empty where nothing is left.
    """
    return _NOT_ASCII_WORDS.sub("_", text.lower()).strip("_")
