"""Identifiers in the vendor's shapes, reproducible from a seed."""

import hashlib
import random
import re
import string

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
INVITE_ALPHABET = string.ascii_uppercase + string.digits


class Ids:
    """Draws identifiers from one random source."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible, and nothing rests on secrecy

    def object_id(self, moment: float) -> str:
        """24 hex digits that begin with the time, as MongoDB makes them."""
        return f"{int(moment):08x}{self._random.getrandbits(64):016x}"

    def invite_code(self) -> str:
        return "".join(self._random.choices(INVITE_ALPHABET, k=9))

    def short(self, prefix: str) -> str:
        """``exec_k3m9z1``: the form of the workflow pages."""
        return f"{prefix}_{''.join(self._random.choices(INVITE_ALPHABET.lower(), k=9))}"


def digest_id(text: str) -> str:
    """The same 24 hex digits for the same text: users by e-mail, keys by token."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def is_object_id(text: str) -> bool:
    return OBJECT_ID.fullmatch(text) is not None
