"""Loads the Lua scripts under `lua/`: a folder for each package that runs them, and `shared/`, which they include."""

from functools import cache
from importlib.resources import files

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript, Script

#: Included in every script, in this order.
PRELUDE = ("inbox_clock", "prelude", "request_turns", "details", "agreement", "evidence")
#: Included in single scripts after the prelude.
EXTRA = {
    "store/accept": ("quotas", "questions"),
    "operations/discard_effects": ("quotas",),
    "operations/mark_reread": ("quotas",),
    "questions/claim_questions": ("questions",),
    "questions/demand_evidence": ("questions",),
    "questions/save_question": ("questions",),
    "tracker/save_reconcile_notes": ("questions",),
}
#: Scripts without the prelude, and what they include.
STANDALONE: dict[str, tuple[str, ...]] = {"budget/call_budget": ("inbox_clock",), "operations/record_proof": ()}


@cache
def source(name: str) -> str:
    """The source of a script such as `store/accept`; included files follow its first line (the flags)."""
    flags, _, body = _text(name).partition("\n")
    read_only = f"local read_only = {'true' if 'no-writes' in flags else 'false'}"
    included = STANDALONE.get(name, (*PRELUDE, *EXTRA.get(name, ())))
    return "\n".join([flags, read_only, *(_text(f"shared/{shared}") for shared in included), body])


def _text(name: str) -> str:
    return files("workers.inbox").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def async_script(redis: AsyncRedis, name: str) -> AsyncScript:
    """A script that is loaded again if the server lost it (restart, failover)."""
    return redis.register_script(source(name))


def script(redis: Redis, name: str) -> Script:
    """`async_script` for a blocking client."""
    return redis.register_script(source(name))
