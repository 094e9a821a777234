"""The Lua scripts, read from the files beside this one."""

from importlib.resources import files

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript, Script

#: What all scripts share, each file on those before it.
SHARED = ("shared", "proof")
#: What single scripts use besides.
USED = {"accept": ("quota",), "discard": ("quota",), "reread": ("quota",)}


def source(name: str) -> str:
    """The text of `<name>.lua`, with what all scripts share behind its first line (the flags)."""
    flags, _, rest = _text(name).partition("\n")
    return "\n".join([flags, *map(_text, (*SHARED, *USED.get(name, ()))), rest])


def _text(name: str) -> str:
    return files("workers.inbox").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def async_script(redis: AsyncRedis, name: str) -> AsyncScript:
    """A script that loads itself again after the server lost it (restart, failover)."""
    return redis.register_script(source(name))


def script(redis: Redis, name: str) -> Script:
    return redis.register_script(source(name))
