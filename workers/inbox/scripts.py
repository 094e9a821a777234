"""The Lua scripts under `lua/`: a folder for each module or package that runs them, and what they share."""

from functools import cache
from importlib.resources import files

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript, Script

#: Included in every script, each file on those before it.
PRELUDE = ("inbox_clock", "prelude", "request_turns", "details", "agreement", "evidence")
#: Included in single scripts after that.
EXTRA = {
    "store/accept": ("quotas", "questions"),
    "operations/discard_effects": ("quotas",),
    "operations/mark_reread": ("quotas",),
    "questions/claim_questions": ("questions",),
    "questions/demand_evidence": ("questions",),
    "questions/link_request": ("questions",),
    "questions/save_question": ("questions",),
    "tracker/save_reconcile_notes": ("questions",),
}
#: Scripts on a key of their own, without the prelude.
STANDALONE: dict[str, tuple[str, ...]] = {"budget/call_budget": ("inbox_clock",), "operations/record_proof": ()}


@cache
def source(name: str) -> str:
    """The text of a script, such as `store/accept`, with what it includes behind its first line (the flags)."""
    flags, _, rest = _text(name).partition("\n")
    read_only = f"local read_only = {'true' if 'no-writes' in flags else 'false'}"
    included = STANDALONE.get(name, (*PRELUDE, *EXTRA.get(name, ())))
    return "\n".join([flags, read_only, *(_text(f"shared/{each}") for each in included), rest])


def _text(name: str) -> str:
    return files("workers.inbox").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def async_script(redis: AsyncRedis, name: str) -> AsyncScript:
    """A script that loads itself again after the server lost it (restart, failover)."""
    return redis.register_script(source(name))


def script(redis: Redis, name: str) -> Script:
    """`async_script`, for a client that blocks."""
    return redis.register_script(source(name))
