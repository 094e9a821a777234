"""Steps around an asked request: let time pass, deliver an outcome, let a process die."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.callbacks import CallbackSigner
from hitlsh.webhooks.parsing import parse
from workers.asking import AskingService
from workers.inbox import keys
from workers.inbox.values import Delivery, Verdict
from workers.inbox.worker_inbox import WorkerInbox
from workers.reconcile import runner
from workers.settings import Settings

KEY = "hitl_test_0123456789abcdef"
SECRET = "a-callback-key-of-these-tests-01"
WEBHOOK_SECRET = "a-webhook-secret-of-these-tests"


def created(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every request at HITL.sh, with the body that created it."""
    return list(sandbox.state()["requests"])


def let_time_pass(redis: Redis) -> int:
    """Make all scheduled questions due now; returns how many."""
    members = redis.zrange(keys.QUESTIONS_DUE, 0, -1)
    for member in members:
        redis.zadd(keys.QUESTIONS_DUE, {member: 0})
    return len(members)


def let_requests_time_out(sandbox: Sandbox, redis: Redis) -> None:
    """Let ten minutes pass at HITL.sh, and for attempts whose request is not known."""
    sandbox.advance(601)
    for token_id in redis.zrange(keys.QUESTIONS_UNBOUND, 0, -1):
        redis.zincrby(keys.QUESTIONS_UNBOUND, -601, token_id)


def body(request_id: str, event: str = "completed", response: Any = "Approve") -> bytes:
    """The body that HITL.sh posts to a callback URL."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    by = {"user_id": "u1", "name": "Kim", "email": "kim@example.org"}
    fields: dict[str, Any] = {
        "event": f"request.{event}",
        "request_id": request_id,
        "loop_id": "66c0ffee00000000000000a1",
        "status": event,
        "response_data": response if event == "completed" else None,
        "response_by": by if event == "completed" else None,
        "response_at": now,
        "created_at": now,
    }
    return msgspec.json.encode(fields)


async def deliver(
    redis: AsyncRedis,
    request_id: str,
    event: str = "completed",
    response: Any = "Approve",
    *,
    trust: Any = "callback",
    callback_url: str | None = None,
) -> Verdict:
    """Accept a delivery that was verified with this trust."""
    inbox = WorkerInbox(redis, retention=86_400, lease=15.0)
    content = body(request_id, event, response)
    token = None if callback_url is None else CallbackSigner([SECRET]).read(callback_url.rsplit("/", 1)[1])
    delivery = Delivery(
        content=parse(content),
        body=content,
        trust=trust,
        received_at=datetime.now(UTC),
        callback_id=None if token is None else token.id,
        state=None if token is None else token.state,
    )
    [verdict], _ = await inbox.accept([delivery])
    return verdict


def wrong_links(redis: Redis) -> list[str]:
    """Requests of HITL.sh whose record does not say what the record of their question says."""
    wrong: list[str] = []
    linked = {name.decode() for name in redis.scan_iter(keys.request("*")) if redis.hexists(name, "question")}
    for name in redis.scan_iter(keys.question("*")):
        record = msgspec.json.decode(redis.hget(name, "record") or b"")
        for number, step in enumerate(record["steps"]):
            if (request_id := step.get("request_id")) is None:
                continue
            request = keys.request(request_id)
            linked.discard(request)
            if not redis.hexists(request, "first_seen"):
                continue  # it has expired
            has_next, is_superseded = number < len(record["steps"]) - 1, number < record.get("current", 0)
            fields = redis.hmget(request, "question", "escalates", "superseded")
            if fields != [record["id"].encode(), b"1" if has_next else None, b"1" if is_superseded else None]:
                wrong.append(request_id)
    return [*wrong, *linked]


async def reconcile(settings: Settings, redis: Redis) -> None:
    await asyncio.to_thread(runner.run, settings, redis)


class Died(BaseException):
    """Raised where a process dies in a test."""


def die_at(service: AskingService, boundary: int) -> Callable[[], int]:
    """Let the process of a service die at the nth boundary: before or after each write, and each call to HITL.sh.

    Returns a function that tells how many boundaries were passed.
    """
    passed = 0

    def pass_boundary() -> None:
        nonlocal passed
        passed += 1
        if passed == boundary:
            raise Died

    def wrap(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            pass_boundary()
            result = await call(*arguments, **options)
            pass_boundary()
            return result

        return wrapped

    for part, names in (
        (service._store, ("save", "drop")),
        (service._creator, ("create", "find_created", "find_loop")),
    ):
        for name in names:
            setattr(part, name, wrap(getattr(part, name)))
    return lambda: passed


def shuffled(seed: int) -> random.Random:
    return random.Random(seed)
