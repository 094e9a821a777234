"""The command line: the group of all commands, each imported from its module when it is used."""

import errno
import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from service import logs
from service.cli.options import NameChoice
from service.cli.output import escape_message
from workers.settings import LOG_FORMATS, LOG_LEVELS, log_settings

#: The module of each command. A module is imported only when its command is used, so that `serve`, `work` and
#: `clock` import only what they need.
COMMAND_MODULES = {
    "api": "service.cli.api.group",
    "ask": "service.cli.asking.ask",
    "callback-url": "service.cli.asking.callback_url",
    "clock": "service.cli.processes.clock",
    "completion": "service.cli.completion",
    "demo": "service.cli.development.demo",
    "dev": "service.cli.development.dev",
    "discard": "service.cli.inbox.discard",
    "doctor": "service.cli.doctor",
    "events": "service.cli.inbox.events",
    "export": "service.cli.reports.export",
    "failed": "service.cli.inbox.failed",
    "mcp": "service.cli.asking.mcp",
    "pause": "service.cli.inbox.pause",
    "reconcile": "service.cli.reconciliation.reconcile",
    "replay": "service.cli.inbox.replay",
    "requests": "service.cli.reconciliation.requests",
    "resume": "service.cli.inbox.resume",
    "retry": "service.cli.inbox.retry",
    "routes": "service.cli.development.routes",
    "send": "service.cli.development.send",
    "serve": "service.cli.processes.serve",
    "show": "service.cli.inbox.show",
    "stats": "service.cli.reports.stats",
    "status": "service.cli.reconciliation.status",
    "webhook-health": "service.cli.reconciliation.webhook_health",
    "work": "service.cli.processes.work",
}


#: Errors of a write to a device that is full or fails.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _LazyGroup(click.Group):
    """Imports commands when they are used, and escapes the messages that click itself prints.

    Some messages contain text from HITL.sh or Redis.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMAND_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in COMMAND_MODULES:
            command = getattr(import_module(COMMAND_MODULES[cmd_name]), cmd_name.replace("-", "_"))
            self.add_command(command, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMAND_MODULES and not name.startswith("-") and not ctx.resilient_parsing:
            from workers.telemetry.name_suggestions import did_you_mean

            ctx.fail(f"No such command {name!r}{did_you_mean(name, COMMAND_MODULES)}.")
        command = super().resolve_command(ctx, args)
        # The modules stay: later collections need not look through them.
        gc.freeze()
        gc.enable()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout is not None:  # closed, as under some supervisors
                    sys.stdout.flush()
        except click.ClickException as error:
            raise escape_message(error) from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            from service.cli.error_messages import CommandError

            _discard_output()
            raise CommandError(f"Cannot write {error.filename or 'the output'}: {error.strerror}.") from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hitl-receiver")
@click.option("--log-level", default=None, type=NameChoice(LOG_LEVELS, case_sensitive=False),
              help="Lowest level of log lines on standard error; sets HITL_LOG_LEVEL. [default: INFO]")  # fmt: skip
@click.option("--log-format", default=None, type=NameChoice(LOG_FORMATS, case_sensitive=False),
              help="Format of log lines; sets HITL_LOG_FORMAT. [default: console]")  # fmt: skip
def cli(log_level: str | None, log_format: str | None) -> None:
    """Receive HITL.sh decisions and run your handlers.

    HITL.sh asks people questions for AI systems and posts each answer to a webhook. `serve` verifies and stores
    these deliveries, `work` runs your handlers, and `clock` enqueues due work. All three read their settings from
    the environment. `dev` runs everything on this machine.
    """
    # In the environment, so that the processes that a command starts log the same way.
    for name, value in (("HITL_LOG_LEVEL", log_level), ("HITL_LOG_FORMAT", log_format)):
        if value is not None:
            os.environ[name] = value
    logs.configure(*log_settings(os.environ))


def _discard_output() -> None:
    """What is left in the buffer cannot be written at exit either."""
    if sys.stdout is None:
        return
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def main() -> None:
    logs.log_uncaught()
    cli(prog_name="hitl-receiver")
