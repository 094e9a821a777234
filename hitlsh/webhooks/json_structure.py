"""The size and the depth of JSON outside of its strings, which decide what it costs to parse.

A string costs as little to parse as to copy. Objects, lists and numbers cost up to 1,000 times as much for each byte,
and whoever knows one callback URL can send a body that holds nothing else.
"""

#: Bytes outside of strings and white space. The bodies of HITL.sh have a few hundred.
LARGEST_STRUCTURE = 32 << 10
#: Levels of nesting. Deeper JSON can be parsed on one stack and fail to be encoded on a deeper one.
DEEPEST = 64

_CONTAINERS = (dict, list)
_BLANKS = b" \t\r\n"


def is_too_large(body: bytes) -> bool:
    """Return whether JSON text has more than `LARGEST_STRUCTURE` bytes outside of its strings."""
    if len(body) <= LARGEST_STRUCTURE:
        return False
    if b'\\"' in body:  # the quote does not end a string, unless its backslash is escaped itself
        if b'\\\\"' in body:
            body = body.replace(b"\\\\", b"")
        body = body.replace(b'\\"', b"")
    max_quotes = 2 * LARGEST_STRUCTURE  # at least one byte separates two strings
    parts = body.split(b'"', max_quotes + 1)
    if len(parts) > max_quotes + 1:
        return True
    return sum(len(part) for part in parts[::2]) > LARGEST_STRUCTURE and (
        len(b"".join(parts[::2]).translate(None, _BLANKS)) > LARGEST_STRUCTURE
    )


def nests_within(value: object, levels: int = DEEPEST) -> bool:
    """Return whether a JSON value has at most so many levels of objects and lists."""
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
