"""The web process: the ASGI application with its routes."""

import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis as AsyncRedis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hitlsh.callbacks import CallbackSigner
from service.web.endpoints import BODY_SECONDS, AccountWebhookEndpoint, CallbackEndpoint, Endpoint, ProvableEndpoint
from service.web.http_protocol import ON_SHUTDOWN
from service.web.ingest import Intake
from workers.inbox.store import Inbox
from workers.queue import enqueue_drain
from workers.redis_clients import check_client, command_client, receiver_client
from workers.settings import Settings
from workers.telemetry import traces

if TYPE_CHECKING:
    from service.proofs.challenges import Channel
    from service.proofs.proof_answers import ProofAnswers
    from service.web.requests.request_api import RequestApi
    from workers.alarms.watch import AlarmWatch
    from workers.telemetry.activity import ActivitySender

logger = logging.getLogger("hitl.receiver")

WEBHOOKS = AccountWebhookEndpoint.route


def create_app(settings: Settings, *, body_seconds: float = BODY_SECONDS) -> Starlette:
    """The ASGI application. Opens no connection before its lifespan begins."""
    redis = receiver_client(settings.redis_url)
    queue_redis = command_client(settings.redis_url)
    inbox = Inbox(redis, retention=settings.retention)
    intake = Intake(
        inbox,
        listens_to=_event_name_filter(settings),
        enqueue_drain=lambda: enqueue_drain(queue_redis),
        activity=_activity_sender(),
    )

    requests = _request_api(settings, redis)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        traces.start()
        await intake.start()
        watch = _watch_alarms(settings)
        if requests is not None:
            requests.start()
        # Objects made during start-up stay: exclude them from garbage collection on the hot path.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        try:
            yield {} if requests is None else {ON_SHUTDOWN: requests.end_waits}
        finally:
            watch.stop()
            if requests is not None:
                await requests.close()
            await intake.close()
            await redis.aclose()
            queue_redis.close()
            traces.stop()

    app = Starlette(
        routes=[
            *_endpoint_routes(settings, intake, body_seconds, redis),
            *([] if requests is None else requests.routes),
            *_health_routes(intake),
            *_metrics_routes(settings),
        ],
        exception_handlers={HTTPException: _refuse_unknown_routes(intake)},
        lifespan=lifespan,
    )
    # HITL.sh follows no redirect, so each path with a trailing slash is a route too.
    app.router.redirect_slashes = False
    return app


def from_environment() -> Starlette:
    """The application for uvicorn, which calls this in each of its processes."""
    return create_app(Settings.from_env(receives=True))


def _request_api(settings: Settings, redis: AsyncRedis) -> "RequestApi | None":
    """The HTTP API for asking; None without an API key or access tokens."""
    if settings.api_key is None or not settings.access_tokens:
        return None
    from service.web.requests.request_api import RequestApi

    return RequestApi(settings, redis)


def _activity_sender() -> "ActivitySender | None":
    """For a process of a `dev` stack; others do not import it."""
    if "HITL_ACTIVITY_SOCKET" not in os.environ:
        return None
    from workers.telemetry.activity import ActivitySender

    return ActivitySender.from_environment()


def _watch_alarms(settings: Settings) -> "AlarmWatch":
    """Watch the alarms while no clock process runs."""
    from workers.alarms.watch import AlarmWatch

    watch = AlarmWatch(settings, check_client(settings.redis_url), "web")
    watch.start()
    return watch


def _event_name_filter(settings: Settings) -> Callable[[str], bool]:
    """A test whether any route listens to an event name. Without HITL_HANDLERS in this process, all names pass."""
    if settings.handlers is None:
        return lambda _name: True
    from workers.handlers.loading import load_router

    router = load_router(settings.handlers)
    return router.listens_to


def _refuse_unknown_routes(intake: Intake) -> Callable[[Request, Exception], Awaitable[Response]]:
    """An exception handler that answers 404 and 405 without a body, and counts them."""

    async def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = "method_not_allowed" if error.status_code == 405 else "not_found"
        logger.info("delivery.refused status=%d reason=%s", error.status_code, reason)
        intake.count(reason)
        intake.send_activity(error.status_code, reason)
        return Response(status_code=error.status_code, headers=error.headers)

    return refuse


def _endpoint_routes(settings: Settings, intake: Intake, body_seconds: float, redis: AsyncRedis) -> list[BaseRoute]:
    routes: list[BaseRoute] = []
    if settings.webhook_secrets:
        webhooks = AccountWebhookEndpoint(
            intake, settings.webhook_secrets, max_body=settings.max_body, body_seconds=body_seconds
        )
        provable = ProvableEndpoint(
            webhooks, lambda: _proofs("webhook", settings.webhook_secrets, webhooks, intake, redis)
        )
        routes += [Route(path, provable, methods=["POST"]) for path in (WEBHOOKS, f"{WEBHOOKS}/")]
    if settings.callback_secrets:
        callbacks = CallbackEndpoint(
            intake, CallbackSigner(settings.callback_secrets), max_body=settings.max_body, body_seconds=body_seconds
        )
        provable = ProvableEndpoint(
            callbacks, lambda: _proofs("callback", settings.callback_secrets, callbacks, intake, redis)
        )
        routes += [
            Route(path, provable, methods=["POST"]) for path in (CallbackEndpoint.route, f"{CallbackEndpoint.route}/")
        ]
    return routes


def _proofs(
    channel: "Channel", secrets: Sequence[str], endpoint: Endpoint, intake: Intake, redis: AsyncRedis
) -> "ProofAnswers":
    """The responder to test deliveries of `doctor --prove` at an endpoint."""
    from service.proofs.challenges import path_signer
    from service.proofs.proof_answers import ProofAnswers
    from workers.inbox.operations import proofs

    verifier = endpoint.verifying_with(path_signer(secrets)) if isinstance(endpoint, CallbackEndpoint) else endpoint
    return ProofAnswers(channel, secrets, verifier, record=partial(proofs.record, redis), is_ready=lambda: intake.ready)


def _health_routes(intake: Intake) -> list[BaseRoute]:
    async def live(_request: Request) -> Response:
        return PlainTextResponse("live\n")

    async def ready(_request: Request) -> Response:
        if intake.ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", status_code=503, headers={"retry-after": "5"})

    return [
        Route(path, endpoint)
        for name, endpoint in (("live", live), ("ready", ready))
        for path in (f"/health/{name}", f"/health/{name}/")
    ]


def _metrics_routes(settings: Settings) -> list[BaseRoute]:
    if settings.metrics_token is None:
        return []
    from service.metrics.exposition import MetricsEndpoint

    return [Route("/metrics", MetricsEndpoint(settings).respond)]
