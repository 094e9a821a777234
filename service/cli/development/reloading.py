"""Reloads the handlers of a `dev` stack when their files change; those that cannot be imported are not loaded."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from service.cli.output import WARNING, echo, echo_lines
from service.cli.user_handlers import is_users
from service.local.source_watch import SourceWatch
from service.local.stack import Stack
from service.local.supervisor import command
from workers.routing.router import Router
from workers.settings import api_keys_of

#: Seconds in which the handlers must be imported.
IMPORT_SECONDS = 60.0
_GO_ON = "The handlers that run go on. Save a correction to load them."


class HandlerReloader:
    """Watches the user's files, and gives the stack a new worker once changed handlers can be imported."""

    def __init__(self, environ: Mapping[str, str], router: Router) -> None:
        self._environ = environ
        self._events = {event for route in router.routes for rule in route.rules for event in rule.events}
        self._watch = SourceWatch(Path.cwd(), _folders_of_user_modules())
        self._trial: _ImportTrial | None = None

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.__exit__(kind, error, trace)
        if self._trial is not None:
            self._trial.close()

    def tick(self, stack: Stack) -> None:
        """Begin or conclude a reload. Call it repeatedly; it does not wait for the import."""
        if self._trial is None:
            if self._watch.take_change():
                self._trial = _ImportTrial(self._environ)
        elif self._trial.has_ended():
            trial, self._trial = self._trial, None
            with closing(trial):
                self._conclude(trial, stack)

    def _conclude(self, trial: "_ImportTrial", stack: Stack) -> None:
        if trial.process.returncode != 0:
            errors = trial.read_errors() or f"Importing the handlers took more than {IMPORT_SECONDS:.0f} s."
            echo_lines(f"{errors}\n{_GO_ON}", err=True)
            return
        routes = trial.read_routes()
        waiting = [route["handler"] for route in routes if route["demands_confirmation"]]
        if waiting and not api_keys_of(self._environ):
            echo(f"{', '.join(waiting)}: trust='confirmed' needs HITL_API_KEY. {_GO_ON}", err=True)
            return
        stack.supervisor.replace("worker")
        events = {event for route in routes for event in route["events"]}
        if events != self._events:  # the answers of the web process depend on them
            self._events = events
            stack.supervisor.replace("web", overlaps=False)
        for line in trial.read_errors().splitlines():
            if line.startswith(WARNING):
                echo(line, err=True)
        echo(f"Handlers reloaded: {', '.join(route['handler'] for route in routes)}.")


class _ImportTrial:
    """A process that imports the handlers, and prints the routes or the error."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        with ExitStack() as files:
            self._output: IO[str] = files.enter_context(_temporary_file())
            self._errors: IO[str] = files.enter_context(_temporary_file())
            self._files = files.pop_all()
        self._deadline = time.monotonic() + IMPORT_SECONDS
        self.process = subprocess.Popen(  # noqa: S603 - this program
            command("routes", "--json"),
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
        )

    def has_ended(self) -> bool:
        if self.process.poll() is None and time.monotonic() > self._deadline:
            self.process.kill()
        return self.process.poll() is not None

    def read_routes(self) -> list[dict[str, Any]]:
        self._output.seek(0)
        routes: list[dict[str, Any]] = json.load(self._output)
        return routes

    def read_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().rstrip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._files.close()


def _temporary_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", errors="replace")


def _folders_of_user_modules() -> set[Path]:
    """The folders of the user's modules that are imported."""
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return {Path(file).parent for file in files if file.endswith(".py") and is_users(file)}
