"""How large and how deep JSON is outside of its strings: what reading it costs.

A string costs as little to read as to copy. Objects, lists and numbers cost up to 1,000 times as much for each
byte, and whoever knows one callback URL may send a body that is nothing else.
"""

#: Bytes outside of strings, white space aside. HITL.sh's own bodies have a few hundred of them.
LARGEST_STRUCTURE = 32 << 10
#: Deeper JSON could be read on one stack and fail to be written on a deeper one.
DEEPEST = 64

_CONTAINERS = (dict, list)
_BLANKS = b" \t\r\n"


def is_too_large(body: bytes) -> bool:
    """Tell whether more than ``LARGEST_STRUCTURE`` bytes of JSON text are outside of its strings."""
    if len(body) <= LARGEST_STRUCTURE:
        return False
    if b'\\"' in body:  # that quote ends no string, unless its backslash is itself escaped
        if b'\\\\"' in body:
            body = body.replace(b"\\\\", b"")
        body = body.replace(b'\\"', b"")
    most_quotes = 2 * LARGEST_STRUCTURE  # at least one byte outside separates two strings
    parts = body.split(b'"', most_quotes + 1)
    if len(parts) > most_quotes + 1:
        return True
    return sum(len(part) for part in parts[::2]) > LARGEST_STRUCTURE and (
        len(b"".join(parts[::2]).translate(None, _BLANKS)) > LARGEST_STRUCTURE
    )


def nests_within(value: object, levels: int = DEEPEST) -> bool:
    """Tell whether JSON is shallow enough to be written again from any stack."""
    containers = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(levels):
        if not containers:
            return True
        containers = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, _CONTAINERS)
        ]
    return not containers
