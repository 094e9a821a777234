"""The bearer tokens of those who may ask through the receiver (`HITL_TOKENS`). Pure."""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

Scope = Literal["ask", "read"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
SHORTEST_TOKEN, LONGEST_TOKEN = 16, 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
#: What a header may carry (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_FORM = "write name:token or name:token:scope+scope, separated by commas"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """One token, with a name for logs and limits."""

    name: str
    token: str = field(repr=False)
    scopes: frozenset[Scope] = frozenset(SCOPES)


def read_access_tokens(text: str) -> tuple[tuple[AccessToken, ...], list[str]]:
    """The tokens of a setting, and a sentence for each problem; no sentence repeats a token."""
    tokens: list[AccessToken] = []
    problems: list[str] = []
    entries = [part.strip() for part in text.split(",") if part.strip()]
    for number, entry in enumerate(entries, 1):
        try:
            tokens.append(_read(entry))
        except ValueError as error:
            problems.append(f"token {number} of {len(entries)} {error}")
    for attribute, plural in (("name", "names"), ("token", "tokens")):
        if len({getattr(token, attribute) for token in tokens}) < len(tokens):
            problems.append(f"two {plural} are equal: give each its own")
    return tuple(tokens), problems


def _read(entry: str) -> AccessToken:
    """Raises ValueError with the rest of a sentence."""
    name, separator, token_and_scopes = entry.partition(":")
    token, _, scope_list = token_and_scopes.partition(":")
    if not separator or not _NAME.fullmatch(name):
        raise ValueError(f"has no name of letters, digits, '_', '.' and '-': {_FORM}")
    if len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"has {len(token)} characters; use at least {SHORTEST_TOKEN} "
            '(python -c "import secrets; print(secrets.token_urlsafe(32))")'
        )
    if len(token) > LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise ValueError(
            f"may have at most {LONGEST_TOKEN} characters, letters, digits and '-._~+/=': others cannot be "
            "sent in a header"
        )
    scopes = frozenset(scope_list.split("+")) if scope_list else frozenset(SCOPES)
    if not scopes <= set(SCOPES):
        raise ValueError(f"has a scope that does not exist: give {' or '.join(SCOPES)}, or {'+'.join(SCOPES)}")
    return AccessToken(name=name, token=token, scopes=frozenset(scope for scope in SCOPES if scope in scopes))
