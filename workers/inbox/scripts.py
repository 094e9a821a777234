"""The Lua scripts, read from the files beside this one."""

from functools import cache
from importlib.resources import files

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript, Script

#: What all scripts share, each file on those before it.
SHARED = ("clock", "shared", "turns", "details", "evidence")
#: What single scripts use besides.
USED = {"accept": ("quota",), "discard": ("quota",), "reread": ("quota",)}


@cache
def source(name: str) -> str:
    """The text of `<name>.lua`, with what all scripts share behind its first line (the flags)."""
    return behind_flags(_text(name), (*SHARED, *USED.get(name, ())))


def behind_flags(text: str, shared: tuple[str, ...]) -> str:
    """A script's text, with these files behind its first line (the flags)."""
    flags, _, rest = text.partition("\n")
    read_only = f"local read_only = {'true' if 'no-writes' in flags else 'false'}"
    return "\n".join([flags, read_only, *map(_text, shared), rest])


def _text(name: str) -> str:
    return files("workers.inbox").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def async_script(redis: AsyncRedis, name: str) -> AsyncScript:
    """A script that loads itself again after the server lost it (restart, failover)."""
    return redis.register_script(source(name))


def script(redis: Redis, name: str) -> Script:
    return redis.register_script(source(name))
