"""The checks of HITL.sh: its health, the API key, and the remaining calls."""

from collections.abc import Iterator

import httpx
from redis import Redis

from hitlsh.api import BudgetExhausted, Client, RateLimited, RetryPolicy, Unauthorized
from hitlsh.api.http import http_transport
from hitlsh.api.models.accounts import KeyTest
from hitlsh.errors import HitlshError
from service.cli.durations import counted
from service.doctor.findings import Finding, error, ok, warning
from workers.inbox.budget.redis_budget import RedisBudget
from workers.reconcile.snapshot import rules
from workers.settings import Settings
from workers.telemetry.escaping import one_line

#: Seconds to wait for HITL.sh.
SECONDS = 10.0
#: The paths of the vendor's troubleshooting page, below the base URL.
HEALTH_PATHS = ("/health", "/api/health")
#: The permissions that reconcile runs and asking need.
_PERMISSIONS = ("requests:read", "requests:write")
#: Statuses of an account whose calls are answered.
_GOOD_STATUSES = ("active", None)


def api_findings(settings: Settings, redis: Redis | None) -> Iterator[Finding]:
    """Check HITL.sh with one call, charged to the shared budget. `redis`: None if it does not answer."""
    yield _health_finding(settings.base_url)
    if settings.api_key is None:
        yield warning(
            "api.key",
            "HITL_API_KEY is not set: decisions whose webhooks are lost are not found, and nothing can be asked.",
            "Set HITL_API_KEY to the API key of your HITL.sh account.",
        )
    elif redis is None:
        yield ok("api.key", "Not tried: without Redis the call cannot be charged to the budget.")
    else:
        yield from _key_findings(settings, settings.api_key, redis)


def _health_finding(base_url: str) -> Finding:
    """Check the health endpoint, whose two paths only https://docs.hitl.sh, "Troubleshooting", names."""
    options = http_transport.options(base_url, SECONDS)
    try:
        with httpx.Client(**options) as client:
            replies = [client.get(f"{base_url}{path}") for path in HEALTH_PATHS]
    except (*http_transport.NO_REPLY, httpx.InvalidURL) as failure:
        return error(
            "api.health",
            f"{base_url} does not answer ({type(failure).__name__}: {failure}).",
            "Check HITL_BASE_URL, the network and the proxy of this machine; HITL.sh may be down.",
        )
    statuses = [reply.status_code for reply in replies]
    if 200 in statuses:
        return ok("api.health", f"{base_url} is healthy.")
    if min(statuses) >= 500:
        return warning(
            "api.health",
            f"{base_url} answers {statuses[0]} to a health check.",
            "HITL.sh is in trouble: deliveries may come late. Reconcile runs go on when it has recovered.",
        )
    return ok("api.health", f"{base_url} answers, and has no health endpoint ({statuses[0]}).")


def _key_findings(settings: Settings, key: str, redis: Redis) -> Iterator[Finding]:
    budget = RedisBudget(redis, key, rules=rules(settings))
    once = RetryPolicy(attempts=1, max_wait=0.0)
    try:
        with Client(key, base_url=settings.base_url, timeout=SECONDS, retries=once, budget=budget) as client:
            account = client.test()
    except Unauthorized as refusal:
        yield error(
            "api.key",
            f"HITL.sh refuses the API key: {one_line(refusal.msg).rstrip('.')}.",
            "Set HITL_API_KEY of every process to a valid key; keys are made in the dashboard of HITL.sh.",
        )
    except (BudgetExhausted, RateLimited) as spent:
        until = f" They return at {spent.reset_at:%Y-%m-%d %H:%M:%SZ}." if spent.reset_at is not None else ""
        yield warning(
            "api.calls",
            f"No call of this hour is left, so the API key was not tried.{until}",
            "Wait, or see with `hitl-receiver status` what uses the calls; other programs may use the same key.",
        )
    except HitlshError as failure:
        text = f"The API key could not be tried: {one_line(str(failure))}."
        yield error("api.key", text, "Check HITL_BASE_URL and the network.")
    else:
        yield _account_finding(account)
        left = budget.available("asking")
        if left:
            yield ok("api.calls", f"{counted(left, 'call')} left for asking in this hour.")
        else:
            yield warning(
                "api.calls",
                "That was the last call of this hour: nothing can be asked until it is over.",
                "See with `hitl-receiver status` what uses the calls; other programs may use the same key.",
            )


def _account_finding(account: KeyTest) -> Finding:
    if account.account_status not in _GOOD_STATUSES:
        return error(
            "api.key",
            f"HITL.sh takes the API key, but its account is {account.account_status}.",
            "See the dashboard of HITL.sh.",
        )
    missing = [name for name in _PERMISSIONS if name not in account.permissions] if account.permissions else []
    if missing:
        return warning(
            "api.key",
            f"The API key lacks {' and '.join(missing)}: reconcile runs and asking need both.",
            "Give it these permissions in the dashboard of HITL.sh, or use another key.",
        )
    owner = f" It belongs to {account.email}." if account.email else ""
    return ok("api.key", f"HITL.sh takes the API key.{owner}")
