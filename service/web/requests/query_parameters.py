"""Parses the query of a call, and collects all problems in one error."""

import math
import re
from typing import get_args
from urllib.parse import parse_qsl

from hitlsh.asking.ask_errors import FieldProblem
from hitlsh.events import Trust
from service.web.requests import problems

#: Seconds that one call may wait.
LONGEST_WAIT = 60.0
LONGEST_PAGE = 100
_PAGE = 50
_MAX_FIELDS = 20
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class QueryParameters:
    """The query parameters of one call. Read each allowed parameter, then call `check`."""

    def __init__(self, query: bytes) -> None:
        self._values: dict[str, str] = {}
        self._problems: list[FieldProblem] = []
        self._names: set[str] = set()
        try:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError:
            pairs = []
            self._refuse("", f"the query has more than {_MAX_FIELDS} parameters")
        for name, value in pairs:
            if name in self._values:
                self._refuse(name, "is given twice: give it once")
            self._values[name] = value

    def check(self) -> None:
        """Raise `RequestProblem` if a parameter is invalid, or is not one of those that were read."""
        for name in self._values.keys() - self._names:
            allowed = f"it has {', '.join(sorted(self._names))}" if self._names else "it has none"
            self._refuse(name[:40], f"is no parameter of this call: {allowed}")
        if self._problems:
            raise problems.parameter_invalid(self._problems)

    def wait(self) -> float:
        """Seconds to wait for the outcome."""
        text = self._text("wait")
        if text is None:
            return 0.0
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not (text.isascii() and "_" not in text and 0 <= seconds <= LONGEST_WAIT):
            self._refuse("wait", f"must be a number of seconds from 0 to {LONGEST_WAIT:g}")
            return 0.0
        return seconds

    def trust(self) -> Trust:
        """The least trust of the outcome, in addition to what the question demands."""
        text = self._text("trust")
        levels: tuple[Trust, ...] = get_args(Trust)
        for level in levels:
            if text == level:
                return level
        if text is not None:
            self._refuse("trust", f"must be one of {', '.join(levels)}")
        return "callback"

    def limit(self) -> int:
        """Number of requests per page."""
        text = self._text("limit")
        if text is None:
            return _PAGE
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= LONGEST_PAGE):
            self._refuse("limit", f"must be a whole number from 1 to {LONGEST_PAGE}")
            return _PAGE
        return int(text)

    def after(self) -> str | None:
        """The `next` of the previous page; None for the first."""
        text = self._text("after")
        if text is not None and not is_request_id(text):
            self._refuse("after", "must be the `next` of the previous page")
            return None
        return text

    def _text(self, name: str) -> str | None:
        self._names.add(name)
        return self._values.get(name)

    def _refuse(self, name: str, problem: str) -> None:
        self._problems.append(FieldProblem(field=name, problem=problem))


def is_request_id(text: str) -> bool:
    """Whether the text has the form of a request id, ours or HITL.sh's; nothing else reaches Redis."""
    return _REQUEST_ID.fullmatch(text) is not None


def is_own_id(request_id: str) -> bool:
    """Whether the id is ours, not HITL.sh's."""
    return request_id.startswith("ask_")
