"""The sandbox as a Starlette application."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, compile_path

from hitl_sandbox import control_routes
from hitl_sandbox.api import account, chains, feedback, loops, requests, sessions, turns, uploads, webhooks, workflows
from hitl_sandbox.api.call import allow_header, error_response
from hitl_sandbox.api.keys import identify_or_none
from hitl_sandbox.application import SandboxParts
from hitl_sandbox.errors import Refusal
from hitl_sandbox.origin import HostCheck
from hitl_sandbox.page import views
from hitl_sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

RESOURCES = (account, loops, requests, feedback, webhooks, uploads, chains, sessions, turns, workflows)


def build_app(settings: SandboxSettings) -> Starlette:
    """Build the application; its lifespan runs the scheduler."""
    api: list[BaseRoute] = [route for resource in RESOURCES for route in resource.routes]
    app = Starlette(
        routes=[
            # The documents write every path with and without the /api segment.
            Mount("/v1/api", routes=api),
            Mount("/v1", routes=api),
            Mount("/sandbox", routes=[*control_routes.routes, *views.live_routes]),
            *views.routes,
        ],
        middleware=[Middleware(HostCheck, allowed=settings.allow_hosts)],
        exception_handlers={HTTPException: _handle_error, Exception: _handle_error},
        lifespan=_lifespan,
    )
    app.state.parts = SandboxParts(settings)
    patterns = tuple(_methods_by_path(app.routes))
    app.state.methods_of = lambda path: {
        method for pattern, methods in patterns if pattern.match(path) for method in methods
    }
    app.router.redirect_slashes = False
    return app


def _methods_by_path(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[re.Pattern[str], set[str]]]:
    """The pattern and methods of every route below these, mounts included."""
    for route in routes:
        if isinstance(route, Mount):
            yield from _methods_by_path(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield compile_path(prefix + route.path)[0], route.methods or set()


async def _handle_error(request: Request, error: Exception) -> Response:
    """The router's 404 and 405, and faults of the sandbox, in the API's envelope."""
    status, detail = 500, "Internal server error"
    if isinstance(error, HTTPException):
        status, detail = error.status_code, error.detail
    response = error_response(Refusal(status, detail))
    if status == 405:
        response.headers["Allow"] = allow_header(request)
    if request.scope["path"].startswith("/v1/"):
        parts: SandboxParts = request.app.state.parts
        key = identify_or_none(request.headers.get("authorization"), parts.state)
        response.headers.update(parts.rate_limiter.headers(key))
    return response


def _log_failure(scheduler: asyncio.Task[None]) -> None:
    """Log a scheduler that failed: without it nothing times out and nothing is delivered."""
    if not scheduler.cancelled() and (error := scheduler.exception()) is not None:
        logger.error("scheduler.stopped", exc_info=error)


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    parts: SandboxParts = app.state.parts
    parts.sender.resume()
    scheduler = asyncio.create_task(parts.scheduler.run())
    scheduler.add_done_callback(_log_failure)
    try:
        yield
    finally:
        scheduler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scheduler
        await parts.close()
