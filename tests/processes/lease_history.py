"""Who held which lease, and who settled under which: read from the server's own append-only file."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from workers.inbox import keys

_EVENT = keys.event("").encode()
_SETTLED = b":settled_under"
_CRASHES = b":crashes"


class LeaseHistory:
    """Every write of leases and settlements, in the order in which the server made them."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the server's; its file must not have been rewritten."""
        #: Fencing token by item, as long as it is held.
        self.held: dict[str, int] = {}
        #: How often an item's lease was given to another worker while it was still on record, or taken off the
        #: record because its worker had died.
        self.passed_on: Counter[str] = Counter()
        self.settlements = 0
        #: Items settled under another token than that of the lease at that moment: there must be none.
        self.unfenced: list[str] = []
        #: Items that were given a token twice: there must be none.
        self.repeated: list[str] = []
        self._given: set[tuple[str, int]] = set()
        #: Items whose lease the latest script took off the record.
        self._ended: set[str] = set()
        for path in sorted(folder.glob("appendonlydir/*.incr.aof")):
            with path.open("rb") as file:
                for name, *words in commands(file):
                    if name.upper() == b"MULTI":
                        self._ended.clear()
                    elif len(words) > 1:
                        self._read(name.upper(), words[0], words[1:])

    def _read(self, name: bytes, key: bytes, words: list[bytes]) -> None:
        if key == keys.LEASES.encode():
            if name == b"HSET":
                self._lease(words[0].decode(), int(words[1]))
            elif name == b"HDEL":
                for member in words:
                    self.held.pop(member.decode(), None)
                    self._ended.add(member.decode())
        elif name == b"HINCRBY" and key.startswith(_EVENT) and words[0].endswith(_CRASHES):
            member = f"{words[0].removesuffix(_CRASHES).decode()}|{key.removeprefix(_EVENT).decode()}"
            self.passed_on[member] += member in self._ended
        elif name == b"HSET" and key.startswith(_EVENT):
            for field, value in zip(words[::2], words[1::2], strict=True):
                if field.endswith(_SETTLED):
                    handler = field.removesuffix(_SETTLED).decode()
                    self._settle(f"{handler}|{key.removeprefix(_EVENT).decode()}", int(value))

    def _lease(self, member: str, token: int) -> None:
        if member in self.held:
            self.passed_on[member] += 1
        if (member, token) in self._given:
            self.repeated.append(member)
        self._given.add((member, token))
        self.held[member] = token

    def _settle(self, member: str, token: int) -> None:
        self.settlements += 1
        if self.held.get(member) != token:
            self.unfenced.append(member)


def commands(file: BinaryIO, *, at_least: int = 1) -> Iterator[list[bytes]]:
    """The commands of so many words in an append-only file (https://valkey.io/topics/protocol/)."""
    while line := file.readline():
        if not line.startswith(b"*"):
            continue
        words = []
        for _ in range(int(line[1:])):
            size = int(file.readline()[1:])
            words.append(file.read(size))
            file.read(2)
        if len(words) >= at_least:
            yield words
