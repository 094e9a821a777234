"""`hitl-receiver dev`: the whole stack on this machine, with generated settings where none are set."""

import signal
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hitlsh.api import Client
from service.cli.development import dev_settings
from service.cli.development.activity_lines import ActivityLines
from service.cli.development.banner import print_banner
from service.cli.environment import DEV_SETTINGS, write_settings
from service.cli.error_messages import explain_errors
from service.cli.options import insecure_option
from service.cli.output import echo, echo_lines, warn
from service.cli.user_handlers import load_user_router
from service.local import dev_ports, extras, tunnel
from service.local.activity_listener import ActivityListener
from service.local.private_folder import socket_path
from service.local.stack import Stack, check_ports
from service.local.tunnel import Tunnel, TunnelFailed
from workers.startup_checks import check_confirmation_is_possible, unsent_field_warnings
from workers.stop_flag import StopFlag

if TYPE_CHECKING:
    from service.cli.development.reloading import HandlerReloader
from workers.routing.router import Router
from workers.telemetry import activity

#: Seconds until a tunnel client that failed is started again.
_TUNNEL_PAUSE = 5.0


@click.command()
@click.option("--folder", default=".hitl", show_default=True, type=click.Path(path_type=Path, file_okay=False),
              help="Data folder of the embedded server.")  # fmt: skip
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the receiver.")
@click.option("--handlers", default=None,
              help="package.module[:attribute]. Default: HITL_HANDLERS, else examples.handlers in a checkout."
)  # fmt: skip
@click.option("--tunnel", "tunnel_command", default=None, metavar="CMD",
              help="Run a tunnel client, and use the address that it prints as HITL_PUBLIC_URL: cloudflared, ngrok, or "
                   "a command with {port} or {url} in it.")  # fmt: skip
@insecure_option
def dev(folder: Path, port: int, handlers: str | None, tunnel_command: str | None) -> None:
    """Run the whole stack on this machine.

    That is a Valkey server, the web process, a worker, the clock and the sandbox. Reads `.env` in this folder. Needs
    the extra `embedded`, a Valkey or Redis server on PATH, or REDIS_URL; the sandbox needs the extra `sandbox`.
    Each missing secret is generated once and stored with the data. Ctrl+C stops the stack. Stored events remain for
    the next run.

    Each delivery and each handler run is printed as it happens. With the extra `reload`, handlers are reloaded when a
    Python file in this folder changes; while they cannot be imported, those that run go on.

    \b
    hitl-receiver dev --handlers handlers
    hitl-receiver dev --tunnel cloudflared
    hitl-receiver dev --tunnel 'ssh -R 80:localhost:{port} HOST'
    """
    with explain_errors():
        run(folder, port=port, handlers=handlers, tunnel_command=tunnel_command)


def run(folder: Path, *, port: int, handlers: str | None, tunnel_command: str | None) -> None:
    """Run until Ctrl+C or SIGTERM."""
    environ = dev_settings.prepare_settings(folder, port, handlers)
    # Loaded here too, so that a mistake in the handlers is reported before anything starts.
    settings = dev_settings.read(environ)
    assert settings.handlers is not None
    router = load_user_router(settings.handlers)
    check_confirmation_is_possible(settings, router)
    for sentence in unsent_field_warnings(settings, router):
        warn(sentence)
    sandbox_port = port + dev_settings.SANDBOX_OFFSET if dev_settings.uses_sandbox(environ) else None
    stopping = StopFlag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping.set)
    # Named by the port, since another stack may use the same folder.
    activity_socket = socket_path(folder.resolve(), f"activity-{port}.sock")
    environ[activity.VARIABLE] = str(activity_socket)
    lines = ActivityLines(_prefix("delivery"))
    check_ports(port, sandbox_port)
    with ExitStack() as parts:
        parts.enter_context(dev_ports.register_ports(*([port, sandbox_port] if sandbox_port else [port])))
        client = None
        if tunnel_command is not None:
            client = parts.enter_context(Tunnel(tunnel_command, port, print_line=_print_tunnel_line))
            with tunnel.answering(port) as leads_here:
                address = client.find_address(leads_here, is_stopped=stopping.is_set)
            if address is None:
                return
            environ["HITL_PUBLIC_URL"] = address
            settings = dev_settings.read(environ)  # refused without TLS, unless --insecure is given
        parts.enter_context(ActivityListener(activity_socket, lines.show, lines.print_overdue))
        reloader = parts.enter_context(_reloader(environ, router))
        stack = parts.enter_context(
            Stack(folder, environ, port=port, sandbox_port=sandbox_port, print_line=_print_line)
        )
        # Written only now: a stack that did not start must not mislead the commands of one that runs.
        _share_settings(folder, environ, stack)
        if stack.sandbox_url:
            create_example_loop(environ)
        print_banner(stack, settings, [route.name for route in router.routes], folder)
        while not stopping.wait(0.1):
            stack.check()
            if reloader is not None:
                reloader.tick(stack)
            if client is not None and client.exit_code() is not None:
                _restart_tunnel(client, stack, environ, folder, stopping)
        echo("Stopping. Running handlers finish first.", prefix="\n")
    echo("Stopped.")


def _reloader(environ: Mapping[str, str], router: Router) -> "AbstractContextManager[HandlerReloader | None]":
    """None without the extra `reload`."""
    if not extras.is_installed("reload"):
        return nullcontext()
    from service.cli.development.reloading import HandlerReloader

    return HandlerReloader(environ, router)


def create_example_loop(environ: dict[str, str]) -> None:
    """Create a loop in the sandbox unless it has one."""
    with Client(environ["HITL_API_KEY"], base_url=environ["HITL_BASE_URL"]) as client:
        if not client.loops.list():
            client.loops.create("Example desk", icon="shield-check", description="Questions of the examples")


def _share_settings(folder: Path, environ: Mapping[str, str], stack: Stack) -> None:
    """Store the settings for commands in another terminal."""
    redis_url = stack.redis_url if stack.server else None
    write_settings(folder / DEV_SETTINGS, dev_settings.shared_settings(environ, redis_url))


def _restart_tunnel(client: Tunnel, stack: Stack, environ: dict[str, str], folder: Path, stopping: StopFlag) -> None:
    """Start a tunnel client that has ended again, and use the address that it has now. Errors are printed."""
    echo(f"The tunnel client ended with exit code {client.exit_code()}; it is started again.", err=True)

    def is_stopped() -> bool:
        stack.check()
        return stopping.is_set()

    try:
        client.start()
        address = client.find_address(tunnel.leads_to_receiver, is_stopped=is_stopped)
    except TunnelFailed as error:
        echo_lines(str(error), err=True)
        client.stop()
        stopping.wait(_TUNNEL_PAUSE)
        return
    if address is None or address == environ["HITL_PUBLIC_URL"]:
        return
    environ["HITL_PUBLIC_URL"] = address
    _share_settings(folder, environ, stack)
    stack.change_settings({"HITL_PUBLIC_URL": address})
    echo(f"HITL.sh reaches this stack at {address} now. Callback URLs that were made before lead nowhere.")


def _print_tunnel_line(line: str) -> None:
    _print_line("tunnel", line)


def _print_line(name: str, line: str) -> None:
    echo(line, prefix=_prefix(name))


def _prefix(name: str) -> str:
    return f"{click.style(f'{name:>9} │', fg='cyan')} "
