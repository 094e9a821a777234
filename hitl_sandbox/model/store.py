"""The store: one SQLite table of JSON records, the call log, and the calls of each key."""

import os
import sqlite3
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from hitl_sandbox.model.approval_chains import StoredChain
from hitl_sandbox.model.records import ApiKey, StoredLoop, StoredRecord, StoredRequest, StoredUpload
from hitl_sandbox.model.session_records import StoredSession, StoredTurn
from hitl_sandbox.webhooks.webhook_records import WebhookDelivery, WebhookSubscription

R = TypeVar("R", bound=StoredRecord)

KINDS: dict[str, type[StoredRecord]] = {
    record.kind: record
    for record in (
        ApiKey,
        StoredLoop,
        StoredRequest,
        WebhookSubscription,
        WebhookDelivery,
        StoredSession,
        StoredTurn,
        StoredChain,
        StoredUpload,
    )
}

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
    owner TEXT, parent TEXT, due REAL, body BLOB NOT NULL, UNIQUE (kind, id));
CREATE INDEX IF NOT EXISTS record_due ON record (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_owner ON record (kind, owner);
CREATE INDEX IF NOT EXISTS record_parent ON record (kind, parent);
CREATE TABLE IF NOT EXISTS usage (
    key_id TEXT NOT NULL, hour INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (key_id, hour));
CREATE TABLE IF NOT EXISTS call (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, key_id TEXT, method TEXT NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER NOT NULL, fault TEXT);
"""

UPSERT = """
INSERT INTO record (kind, id, owner, parent, due, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET owner = excluded.owner, parent = excluded.parent,
    due = excluded.due, body = excluded.body
"""


class Store:
    """Records by kind and id, in the order of their creation."""

    def __init__(self, path: str | None = None) -> None:
        if path and path != ":memory:":
            _make_private(path)
        # Built in one thread and used in another, but never by two at once.
        self._sqlite = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._sqlite.execute("PRAGMA journal_mode = WAL")
        self._sqlite.execute("PRAGMA synchronous = OFF")
        self._sqlite.executescript(SCHEMA)

    def close(self) -> None:
        self._sqlite.close()

    def clear(self) -> None:
        self._sqlite.executescript("DELETE FROM record; DELETE FROM usage; DELETE FROM call;")

    def put(self, record: R) -> R:
        body = msgspec.json.encode(record)
        self._sqlite.execute(UPSERT, (record.kind, record.id, record.owner(), record.parent(), record.due(), body))
        return record

    def get(self, kind: type[R], record_id: str) -> R | None:
        query = "SELECT body FROM record WHERE kind = ? AND id = ?"
        row = self._sqlite.execute(query, (kind.kind, record_id)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def find(self, kind: type[R], *, owner: str | None = None, parent: str | None = None) -> list[R]:
        query = """SELECT body FROM record WHERE kind = :kind AND (:owner IS NULL OR owner = :owner)
                   AND (:parent IS NULL OR parent = :parent) ORDER BY seq"""
        rows = self._sqlite.execute(query, {"kind": kind.kind, "owner": owner, "parent": parent})
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def latest(self, kind: type[R], limit: int) -> list[R]:
        query = "SELECT body FROM record WHERE kind = ? ORDER BY seq DESC LIMIT ?"
        rows = self._sqlite.execute(query, (kind.kind, limit))
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def scheduled(self, kind: type[R]) -> list[R]:
        """The records with a due time, such as open requests."""
        query = "SELECT body FROM record WHERE due IS NOT NULL AND kind = ? ORDER BY seq"
        rows = self._sqlite.execute(query, (kind.kind,))
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def delete(self, record: StoredRecord) -> None:
        self._sqlite.execute("DELETE FROM record WHERE kind = ? AND id = ?", (record.kind, record.id))

    def next_due(self) -> float | None:
        due: float | None = self._sqlite.execute("SELECT min(due) FROM record WHERE due IS NOT NULL").fetchone()[0]
        return due

    def due(self, moment: float) -> Iterator[StoredRecord]:
        """The records that are due at the moment, earliest first."""
        query = "SELECT kind, body FROM record WHERE due <= ? ORDER BY due, seq"
        for kind, body in self._sqlite.execute(query, (moment,)).fetchall():
            yield msgspec.json.decode(body, type=KINDS[kind])

    def calls_in_hour(self, key_id: str, hour: int) -> int:
        query = "SELECT used FROM usage WHERE key_id = ? AND hour = ?"
        row = self._sqlite.execute(query, (key_id, hour)).fetchone()
        return 0 if row is None else int(row[0])

    def count_calls(self, key_id: str, hour: int, amount: int) -> None:
        """Add calls to an hour; a negative amount returns them, and the count stays at zero or above."""
        query = """INSERT INTO usage VALUES (:key_id, :hour, max(:amount, 0))
                   ON CONFLICT (key_id, hour) DO UPDATE SET used = max(used + :amount, 0)"""
        self._sqlite.execute(query, {"key_id": key_id, "hour": hour, "amount": amount})

    def log_call(
        self,
        *,
        at: float,
        key_id: str | None,
        method: str,
        path: str,
        query: str,
        status: int,
        fault: str | None,
    ) -> None:
        row = (at, key_id, method, path, query, status, fault)
        self._sqlite.execute(
            "INSERT INTO call (at, key_id, method, path, query, status, fault) VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def calls(self) -> list[dict[str, object]]:
        names = ("at", "key_id", "method", "path", "query", "status", "fault")
        rows = self._sqlite.execute(f"SELECT {', '.join(names)} FROM call ORDER BY seq")  # noqa: S608 - constants
        return [dict(zip(names, row, strict=True)) for row in rows]


def _make_private(path: str) -> None:
    """Let only the owner read the file, which holds secrets and answers. SQLite gives its other files the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
