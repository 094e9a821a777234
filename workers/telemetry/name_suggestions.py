"""What was probably meant by a name that does not exist, for messages."""

import difflib
from collections.abc import Iterable

#: How many names a message lists.
_MAX_NAMES = 30


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`` (did you mean …?)``, or nothing where no candidate is close."""
    closest = _closest(name, list(candidates))
    return f" ({closest})" if closest else ""


def closest_or_all(name: str, candidates: Iterable[str]) -> str:
    """``did you mean …?``, or ``there are …`` with all candidates where none is close."""
    names = list(candidates)
    if closest := _closest(name, names):
        return closest
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:_MAX_NAMES])}{more}"


def _closest(name: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
