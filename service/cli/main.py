"""The command line."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import click

from service import logs
from service.cli.error_messages import explain
from service.cli.insecure_option import insecure
from service.cli.output import echo, escape_message, print_json
from workers.settings import Settings

#: The module of each command that is not below: imported when the command is used, so that `serve`, `work` and
#: `clock` import only what they need.
_MODULES = {
    "api": "service.cli.api.commands",
    "ask": "service.cli.ask",
    "discard": "service.cli.operations",
    "events": "service.cli.events",
    "failed": "service.cli.events",
    "pause": "service.cli.pause",
    "reconcile": "service.cli.reconcile",
    "replay": "service.cli.operations",
    "requests": "service.cli.requests",
    "resume": "service.cli.pause",
    "retry": "service.cli.operations",
    "send": "service.cli.sending",
    "show": "service.cli.events",
    "status": "service.cli.status",
    "webhook-health": "service.cli.requests",
}


class _Commands(click.Group):
    """Imports commands when they are used, and escapes the messages that click itself prints.

    Some messages hold what HITL.sh or Redis said.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in _MODULES:
            command = getattr(import_module(_MODULES[cmd_name]), cmd_name.replace("-", "_"))
            self.add_command(command, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise escape_message(error) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hitl-receiver")
@click.option("--log-level", default="INFO", show_default=True, envvar="HITL_LOG_LEVEL",
              type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False))  # fmt: skip
def cli(log_level: str) -> None:
    """Receive HITL.sh decisions and run your handlers.

    HITL.sh asks people questions for AI systems and posts each answer to a webhook. This is the other end:
    `serve` verifies and keeps what HITL.sh posts, `work` runs your handlers, `clock` sees that nothing due
    is forgotten; all three read their settings from the environment. `dev` runs everything on this machine.
    """
    logs.configure(log_level.upper())


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), envvar="PORT",
              show_envvar=True, help="Port to listen on.")  # fmt: skip
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@insecure
def serve(host: str, port: int, processes: int) -> None:
    """Run the web process, which verifies and stores deliveries.

    Needs REDIS_URL and at least one of HITL_WEBHOOK_SECRETS and HITL_CALLBACK_SECRETS. HITL.sh posts to
    /webhooks/hitl (account webhooks) and /callbacks/TOKEN (callback URLs); /health/live and /health/ready
    are for your platform.
    """
    from service.web.server import run

    with explain():
        run(Settings.from_env(receives=True), host=host, port=port, processes=processes)


@cli.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64),
              help="Worker processes; each runs handlers of its own.")  # fmt: skip
@click.option("--queue", default=None, type=click.Choice(["hitl", "hitl-reconcile"]),
              help="Serve this RQ queue only: handlers, or reconcile runs. [default: both]")  # fmt: skip
@insecure
def work(processes: int, queue: Literal["hitl", "hitl-reconcile"] | None) -> None:
    """Run RQ workers for your handlers, and one for reconcile runs if HITL_API_KEY is set.

    Needs REDIS_URL and HITL_HANDLERS (reconcile runs alone do without). SIGTERM lets handlers in flight finish
    (20 seconds at the most).

    \b
    hitl-receiver work --processes 4
    hitl-receiver work --queue hitl-reconcile
    """
    from service.local.worker_processes import run

    with explain():
        run(Settings.from_env(handles=queue != "hitl-reconcile"), processes=processes, queue=queue)


@cli.command()
@insecure
def clock() -> None:
    """Enqueue due work once a second. Run one or more. Requires REDIS_URL."""
    from service.local.clock_process import run_clock

    with explain():
        run_clock(Settings.from_env())


@cli.command()
@click.option("--folder", default=".hitl", show_default=True, type=click.Path(path_type=Path, file_okay=False),
              help="Data folder of the embedded server.")  # fmt: skip
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the receiver.")
@click.option("--handlers", default=None, help="package.module[:attribute]; else HITL_HANDLERS, else the examples.")
@insecure
def dev(folder: Path, port: int, handlers: str | None) -> None:
    """Run the whole stack on this machine: embedded Valkey, web process, worker, clock and sandbox.

    Reads `.env` in this folder. Missing secrets are generated once and stored with the data.
    Ctrl+C stops the stack. Stored events remain for the next run.
    """
    from service.local import dev as dev_stack

    with explain():
        dev_stack.run(folder, port=port, handlers=handlers)


@cli.command()
def demo() -> None:
    """Run the whole stack once in a temporary folder, and show what happens to each event."""
    from service.local.demo import run

    with explain():
        sys.exit(run())


@cli.command("callback-url")
@click.option("--state", default=None, metavar="JSON",
              help="Any JSON, available as decision.state. It is part of the URL, so keep it small.")  # fmt: skip
@insecure
def callback_url(state: str | None) -> None:
    """Mint a callback URL for a request at HITL.sh.

    Needs HITL_CALLBACK_SECRETS and HITL_PUBLIC_URL (or a `dev` stack in this folder). Whoever knows the URL
    can answer in HITL.sh's name: treat it as a password.
    """
    from service.cli.json_option import parse_json
    from service.cli.sending import mint

    with explain():
        echo(mint(parse_json(state, "--state")))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Output JSON.")
def routes(as_json: bool) -> None:
    """Print the routing table of your handlers (HITL_HANDLERS)."""
    from service.cli.environment import environment
    from workers.handlers.loading import load_router

    with explain():
        settings = Settings.from_env({**environment(), "REDIS_URL": "redis://unused"}, handles=True)
        assert settings.handlers is not None
        table = [{"handler": route.name, "when": route.describe()} for route in load_router(settings.handlers).routes]
    if as_json:
        print_json(table)
        return
    width = max(len(row["handler"]) for row in table)
    for row in table:
        echo(f"{row['handler']:<{width}}  {row['when']}")


def main() -> None:
    logs.log_uncaught()
    cli(prog_name="hitl-receiver")
