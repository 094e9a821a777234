"""Checks Redis once for a program and all the processes that it starts."""

import os

from workers.redis_checks import check_redis

#: Set in the environment of a process whose parent has checked the server.
IS_CHECKED = {"HITL_REDIS_IS_CHECKED": "1"}


def is_checked() -> bool:
    """Whether the parent process has made the checks of a start."""
    return IS_CHECKED.items() <= os.environ.items()


def check_redis_once(url: str, *, until_then: str) -> None:
    """Check the server, unless the parent process has done so. `until_then`: what happens while it does not answer."""
    if not is_checked():
        check_redis(url, until_then=until_then)
