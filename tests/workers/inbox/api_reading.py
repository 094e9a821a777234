"""Saves what a reconcile run reads at HITL.sh's API."""

from redis import Redis

from tests.workers.inbox.passing_time import DAY
from workers.inbox.tracker import api_keys
from workers.inbox.tracker.reconcile_lease import Note, ReconcileLease


def save_notes(redis: Redis, *notes: Note, retention: int = DAY) -> None:
    """Save these notes as a reconcile run does, which has an API key. What ended before the first run is not stale."""
    [indexes] = api_keys.configure(redis, ["an API key"], lookback=100 * DAY)
    lease = ReconcileLease(redis, seconds=60, retention=retention)
    lease.key_hash = indexes.key_hash
    assert lease.acquire()
    lease.write(notes, began=0)
    lease.release()
