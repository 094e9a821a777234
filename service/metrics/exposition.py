"""Where Prometheus reads the metrics: a port of their own, or a path of the web process behind a token."""

import hmac
import logging
import threading
from collections.abc import Callable
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ServiceError
from service.metrics.collector import registry
from workers.redis_clients import check_client
from workers.settings import Settings

logger = logging.getLogger("hitl.metrics")


class MetricsPortTaken(ServiceError):
    """The port of the metrics cannot be listened on."""


def listen(settings: Settings) -> Callable[[], None]:
    """Serve the metrics on HITL_METRICS_PORT in a thread; returns what stops it. Raises `MetricsPortTaken`."""
    redis = check_client(settings.redis_url)
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, addr=host, registry=registry(redis, settings))
    except OSError as error:
        raise MetricsPortTaken(
            f"The metrics cannot be served on {host}:{port} ({error.strerror}): stop the program that listens there, "
            "or set HITL_METRICS_PORT and HITL_METRICS_HOST to an address of this machine that is free"
        ) from error
    logger.info("metrics.listening host=%s port=%d", host, port)
    return lambda: _stop(server, thread)


def _stop(server: WSGIServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join(2.0)


class MetricsEndpoint:
    """`GET /metrics` of the web process, for whoever has the token."""

    def __init__(self, settings: Settings) -> None:
        assert settings.metrics_token is not None
        self._expected = f"Bearer {settings.metrics_token}".encode()
        self._registry: CollectorRegistry = registry(check_client(settings.redis_url), settings)
        #: Scrapes take turns: each costs Redis about twenty commands.
        self._lock = threading.Lock()

    async def respond(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            return Response(status_code=401, headers={"www-authenticate": "Bearer"})
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await run_in_threadpool(self._encode, encode), media_type=content_type)

    def _encode(self, encode: Callable[[CollectorRegistry], bytes]) -> bytes:
        with self._lock:
            return encode(self._registry)
