"""`hitl-receiver serve`: the web process, under uvicorn."""

import os
import signal
import sys

import click
import uvicorn

from service import logs
from service.cli.error_messages import explain_errors
from service.cli.options import insecure_option, processes_option
from service.start_checks import check_alerts, check_redis_once, is_checked
from service.web.http_protocol import GuardedProtocol
from workers.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), envvar="PORT",
              show_envvar=True, help="Port to listen on.")  # fmt: skip
@processes_option
@insecure_option
def serve(host: str, port: int, processes: int) -> None:
    """Run the web process, which verifies and stores deliveries.

    Needs REDIS_URL and at least one of HITL_WEBHOOK_SECRETS and HITL_CALLBACK_SECRETS. HITL.sh posts to
    /webhooks/hitl (account webhooks) and /callbacks/TOKEN (callback URLs); /health/live and /health/ready
    are for your platform. With HITL_TOKENS and an API key, programs ask people at /requests, which /openapi.json
    describes.
    """
    with explain_errors():
        run(Settings.from_env(receives=True), host=host, port=port, processes=processes)


def run(settings: Settings, *, host: str, port: int, processes: int) -> None:
    """Serve until stopped. Mistakes in settings and handlers are reported here, before any process starts."""
    # Before uvicorn listens for signals nothing needs to end well; after its end it raises the signal that stopped it
    # again, for this handler. An exception would be lost where it is raised in a `__del__`.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if settings.handlers is not None:
        _check_handlers(settings, settings.handlers)
    check_alerts(settings, every_url=False)
    check_redis_once(settings.redis_url, until_then="deliveries are answered 503")
    if processes > 1:
        # Uvicorn's children must not look for a module in the current folder before they have their Python path.
        os.environ["PYTHONSAFEPATH"] = "1"
    uvicorn.run(
        "service.web.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=processes if processes > 1 else None,
        http=GuardedProtocol,
        # No WebSockets: an upgrade is a request like any other.
        ws="none",
        # A callback URL's token is its password, and an access log would contain it.
        access_log=False,
        # Each process that uvicorn starts configures its logging anew.
        log_config=logs.configuration(logs.level(), logs.style()),
        server_header=False,
        date_header=False,
        # The client's address is never read, so nobody can forge it.
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )


def _check_handlers(settings: Settings, handlers: str) -> None:
    """Load the handlers once, warn of fields that nobody sends, and restore the Python path.

    Uvicorn passes the path to its children, which import modules of ours before they load the handlers themselves.
    """
    from service.cli.user_handlers import load_user_router
    from workers.startup_checks import warn_of_unsent_fields

    python_path = list(sys.path)
    router = load_user_router(handlers)
    if not is_checked():
        warn_of_unsent_fields(settings, router)
    sys.path[:] = python_path
