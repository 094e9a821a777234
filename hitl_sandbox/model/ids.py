"""Identifiers in the vendor's formats, reproducible from a seed."""

import hashlib
import random
import re
import string

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
INVITE_ALPHABET = string.ascii_uppercase + string.digits


class IdGenerator:
    """Makes identifiers from one random source."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible; identifiers are no secrets

    def object_id(self, moment: float) -> str:
        """A MongoDB object id: 24 hex digits that begin with the time."""
        return f"{int(moment):08x}{self._random.getrandbits(64):016x}"

    def invite_code(self) -> str:
        return "".join(self._random.choices(INVITE_ALPHABET, k=9))

    def short(self, prefix: str) -> str:
        """A prefix and nine characters, such as ``exec_k3m9z1xq2``: the format of the workflow pages."""
        return f"{prefix}_{''.join(self._random.choices(INVITE_ALPHABET.lower(), k=9))}"


def digest_id(text: str) -> str:
    """24 hex digits made from a text: users get theirs from the e-mail address, keys from the token."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def is_object_id(text: str) -> bool:
    return OBJECT_ID.fullmatch(text) is not None
