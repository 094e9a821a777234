"""The tools of the MCP server: ask, wait, get, cancel and list_open. They call the receiver, never HITL.sh."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import msgspec
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from hitlsh import (
    ArgumentInvalid,
    AskedRequest,
    AskError,
    AsyncHitl,
    Question,
    StillOpen,
    boolean,
    multi_select,
    single_select,
    text,
    whole_number,
)
from hitlsh.events import Trust

P = ParamSpec("P")
R = TypeVar("R")

AnswerKind = Literal["yes_no", "one_of", "some_of", "whole_number", "text"]
#: Seconds of one call of `wait`: MCP clients give up a call after a minute.
LONGEST_WAIT = 50

_INSTRUCTIONS = """\
Asks a person a question and returns the answer. Call `ask`, keep the id, then call `wait` until `status` is `ended`.
The outcome tells how it ended: only `kind` = `answered` is a person's answer. `timed_out` means that nobody answered:
it is never a person's no, nor a yes. `false`, `0` and an empty text are answers."""


def build_server(hitl: AsyncHitl, *, loop: str | None = None, trust: Trust = "callback") -> MCPServer:
    """The server. `loop`: the default loop of calls; `trust`: the least trust of an answer."""
    tools = McpTools(hitl, loop, trust)
    server = MCPServer(
        "hitl-receiver", instructions=_INSTRUCTIONS, version=version("hitl-receiver"), log_level="WARNING"
    )
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    server.add_tool(
        _explain_errors(tools.ask), annotations=ToolAnnotations(destructive_hint=False, open_world_hint=True)
    )
    server.add_tool(_explain_errors(tools.wait), annotations=reads)
    server.add_tool(_explain_errors(tools.get), annotations=reads)
    server.add_tool(
        _explain_errors(tools.cancel), annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=True)
    )
    server.add_tool(_explain_errors(tools.list_open), annotations=reads)
    return server


class McpTools:
    """The tools as methods; their docstrings are what a model reads."""

    def __init__(self, hitl: AsyncHitl, loop: str | None, trust: Trust) -> None:
        self._hitl = hitl
        self._loop = loop
        self._trust = trust

    async def ask(
        self,
        question: Annotated[str, Field(description="What the person reads; may contain Markdown.")],
        default: Annotated[Any, Field(description="The answer that HITL.sh takes when nobody answers in time.")],
        answer: Annotated[AnswerKind, Field(description="What kind of answer is wanted.")] = "yes_no",
        options: Annotated[list[str] | None, Field(description="For one_of and some_of: 1 to 20 options.")] = None,
        minimum: Annotated[int, Field(description="For whole_number.")] = 1,
        maximum: Annotated[int, Field(description="For whole_number.")] = 5,
        timeout_minutes: Annotated[
            int, Field(description="When nobody answers by then, it times out.", ge=1, le=1440)
        ] = 60,
        loop: Annotated[str | None, Field(description="Whom to ask: the id or name of a loop at HITL.sh.")] = None,
        context: Annotated[
            dict[str, Any] | None, Field(description="Facts that are shown beside the question.")
        ] = None,
        key: Annotated[str | None, Field(description="Names the question: the same key is asked once only.")] = None,
    ) -> dict[str, Any]:
        """Ask a person. Returns the request at once, with its id: call `wait` with that id for the answer."""
        asked_loop = loop or self._loop
        if asked_loop is None:
            raise ToolError("loop is missing: name the loop to ask, or start the server with --loop.")
        handle = await self._hitl.submit(
            question,
            loop=asked_loop,
            answer=_question(answer, options, minimum, maximum),
            default=default,
            timeout=timedelta(minutes=timeout_minutes),
            context=context,
            key=key,
            trust=self._trust,
        )
        return _fields_for_model(handle.request)

    async def wait(
        self,
        id: Annotated[str, Field(description="The id that `ask` returned.")],  # noqa: A002 - as in the request
        seconds: Annotated[int, Field(description="How long to wait at most.", ge=0, le=LONGEST_WAIT)] = LONGEST_WAIT,
    ) -> dict[str, Any]:
        """Wait for the answer. Without one by then, `status` is not `ended`: call it again."""
        try:
            await self._hitl.wait(id, timeout=timedelta(seconds=seconds), trust=self._trust)
        except StillOpen as still_open:
            return _fields_for_model(still_open.request)
        return await self.get(id)

    async def get(self, id: Annotated[str, Field(description="The id that `ask` returned.")]) -> dict[str, Any]:  # noqa: A002
        """Read a request as it is now, without waiting."""
        return _fields_for_model(await self._hitl.get(id, trust=self._trust))

    async def cancel(self, id: Annotated[str, Field(description="The id that `ask` returned.")]) -> dict[str, Any]:  # noqa: A002
        """Cancel a request that nobody has answered."""
        return _fields_for_model(await self._hitl.cancel(id))

    async def list_open(self) -> list[dict[str, Any]]:
        """List the requests that have no outcome yet, the oldest first, at most 50."""
        return [_fields_for_model(request) for request in await self._hitl.list_open()]


def _question(answer: AnswerKind, options: list[str] | None, minimum: int, maximum: int) -> Question[Any]:
    match answer:
        case "yes_no":
            return boolean()
        case "one_of":
            return single_select(*(options or ()))
        case "some_of":
            return multi_select(*(options or ()), min_selections=0)
        case "whole_number":
            return whole_number(minimum, maximum)
    return text()


def _fields_for_model(request: AskedRequest) -> dict[str, Any]:
    """The fields of the request that a model needs."""
    fields = msgspec.to_builtins(request)
    names = ("id", "status", "text", "key", "timeout_at", "retry_at", "outcome", "late_answers")
    selected: dict[str, Any] = {name: fields[name] for name in names}
    return selected


def _explain_errors(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """The tool, with errors as `ToolError`, so that the model reads the remedy."""

    @wraps(tool)
    async def call_tool(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except (AskError, ArgumentInvalid) as error:
            raise ToolError(str(error)) from error

    return call_tool
