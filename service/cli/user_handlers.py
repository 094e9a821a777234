"""Loads the user's handlers for a command, and shows the user's own frames where they raise."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hitl_receiver
from service.cli.error_messages import CommandError
from workers.handlers.loading import load_router
from workers.routing.router import Router

#: Folders of code that is not the user's: the standard library, installed packages, and ours.
_NOT_THE_USERS = tuple(
    f"{folder}/"
    for folder in {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(
            str(Path(hitl_receiver.__file__).parents[1] / name)
            for name in ("hitl_receiver", "hitlsh", "service", "workers")
        ),
    }
)


class HandlersBroken(CommandError):
    """The module of the handlers raised when it was imported. Exit status 1."""

    exit_code = 1


def load_user_router(spec: str) -> Router:
    """The user's router. Raises `HandlersInvalid`, and `HandlersBroken` for what the module itself raises."""
    with explain_handlers():
        return load_router(spec)


@contextmanager
def explain_handlers() -> Iterator[None]:
    """Turn an error that the user's code raises into `HandlersBroken`; others pass."""
    try:
        yield
    except Exception as error:
        text = user_traceback(error)
        if text is None:
            raise
        raise HandlersBroken(f"The handlers cannot be imported:\n{text}") from error


def user_traceback(error: BaseException) -> str | None:
    """The traceback of an error without frames of libraries and of ours; None where no frame is the user's."""
    formatted = traceback.TracebackException.from_exception(error, limit=-50)
    if not _keep_user_frames(formatted) and not _is_in_user_file(error):
        return None
    return "".join(formatted.format()).rstrip()


def _keep_user_frames(formatted: traceback.TracebackException) -> bool:
    """Drop the other frames, also of what the error follows from; whether any are left."""
    user_frames = [frame for frame in formatted.stack if is_users(frame.filename)]
    formatted.stack[:] = user_frames
    for earlier in (formatted.__cause__, formatted.__context__):
        if earlier is not None:
            _keep_user_frames(earlier)
    return bool(user_frames)


def _is_in_user_file(error: BaseException) -> bool:
    """A syntax error has no frame of the file that it is in."""
    return isinstance(error, SyntaxError) and error.filename is not None and is_users(error.filename)


def is_users(filename: str) -> bool:
    """Whether a file belongs neither to this program nor to a library."""
    return not filename.startswith(("<", *_NOT_THE_USERS))
