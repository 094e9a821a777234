"""Requests asked two hours ago, and reconcile runs that check them."""

import time
from typing import Any

from redis import Redis

from hitlsh.api import Client, boolean
from hitlsh.callbacks import CallbackState
from workers.inbox.tracker import tracked_requests
from workers.inbox.tracker.api_keys import api_key_hash
from workers.inbox.tracker.tracked_requests import NewRequest
from workers.reconcile import runner
from workers.reconcile.state import ReconcileReport
from workers.settings import Settings

KEY = "hitl_test_0123456789abcdef0123456789abcdef"
CALLBACK_KEY = "a-callback-key-of-these-tests-01"
HOUR = 3600.0


def ask(api: Client, redis: Redis, loop: str, *, known: bool = True, **more: Any) -> str:
    created = api.requests.create(loop, "Pay?", boolean(), default_response=False, timeout_seconds=86_400, **more)
    if known:
        track(redis, created.request_id, **more)
    return created.request_id


def track(redis: Redis, request_id: str, callback: CallbackState | None = None, **_more: Any) -> None:
    created_at = time.time() - 2 * HOUR
    asked = NewRequest(request_id=request_id, created_at=created_at, timeout_at=created_at + 86_400, callback=callback)
    tracked_requests.track(redis, asked, retention=86_400, key_hash=api_key_hash(KEY))


def reconcile(settings: Settings, redis: Redis) -> ReconcileReport:
    report = runner.run(settings, redis)
    assert report is not None
    return report
