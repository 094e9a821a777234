"""An SQLite file outside the processes under test that records each execution of a handler or sink.

Work-horses that write to it may die or stall at any moment; a written record stays.
"""

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from workers import Decision

#: The environment names the file by this.
LEDGER = "LEDGER"
#: Seconds to wait for another writer, which a test may have stopped in the middle of it.
PATIENCE = 30.0
_TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE executions (number INTEGER PRIMARY KEY, handler TEXT, event TEXT, attempt INTEGER, pid INTEGER,
                         begun REAL, ended REAL, outcome TEXT);
CREATE TABLE requests (at REAL, sink TEXT, event TEXT, answer TEXT);
"""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A handler was run for an event; `outcome` is None if it never came to its end."""

    handler: str
    event: str
    attempt: int
    pid: int
    begun: float
    ended: float | None
    #: "returned", or the class of what was raised.
    outcome: str | None

    @property
    def effect(self) -> str:
        return f"{self.handler}|{self.event}"


class Ledger:
    """Reads what was written; made by the test, which goes on when the writers do not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _opened(path)
        self._file.executescript(_TABLES)

    def close(self) -> None:
        self._file.close()

    def executions(self, event: str | None = None) -> list[Execution]:
        """All of them, or those for one event, in the order in which they began."""
        columns = ", ".join(Execution.__struct_fields__)
        rows = self._file.execute(
            f"SELECT {columns} FROM executions WHERE event = ?1 OR ?1 IS NULL ORDER BY begun", [event]
        )
        return [Execution(**dict(zip(Execution.__struct_fields__, row, strict=True))) for row in rows]

    def by_effect(self) -> dict[str, list[Execution]]:
        found: dict[str, list[Execution]] = defaultdict(list)
        for execution in self.executions():
            found[execution.effect].append(execution)
        return found

    def requests(self) -> list[tuple[str, str, str]]:
        """What the targets were asked: sink, event, and how they answered."""
        return self._file.execute("SELECT sink, event, answer FROM requests ORDER BY at").fetchall()


@contextmanager
def executing(handler: str, decision: Decision) -> Iterator[None]:
    """Write down that a handler runs, and how that ends."""
    began = (handler, decision.event_key, decision.attempt, os.getpid(), time.time())
    number = write("INSERT INTO executions (handler, event, attempt, pid, begun) VALUES (?, ?, ?, ?, ?)", *began)
    outcome = "returned"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        write("UPDATE executions SET ended = ?, outcome = ? WHERE number = ?", time.time(), outcome, number)


def requested(path: Path, sink: str, event: str, answer: str) -> None:
    """Write down that a target was asked, and how it is going to answer."""
    write("INSERT INTO requests VALUES (?, ?, ?, ?)", time.time(), sink, event, answer, path=path)


def write(statement: str, *values: object, path: Path | None = None) -> int:
    """A connection for each line: none may be carried through a fork or into another thread."""
    with closing(_opened(path or Path(os.environ[LEDGER]))) as file:
        return file.execute(statement, values).lastrowid or 0


def _opened(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    file.execute("PRAGMA synchronous=OFF")
    return file
