"""`hitl-receiver mcp`: an MCP server whose tools ask people through a receiver."""

import asyncio
from importlib.util import find_spec
from typing import get_args

import click
import uvicorn

from hitlsh import AsyncHitl
from hitlsh.asking_client.receiver_address import receiver_token, receiver_url
from hitlsh.events import Trust
from service import logs
from service.cli.environment import environment
from service.cli.error_messages import CommandError, explain_errors
from service.cli.options import NameChoice


@click.command()
@click.option("--loop", help="Id or name of the loop that is asked where a call names none.")
@click.option(
    "--trust",
    default="callback",
    show_default=True,
    type=NameChoice(get_args(Trust)),
    help="The least trust of an answer that a model is given.",
)
@click.option("--http", "serves_http", is_flag=True, help="Serve HTTP at /mcp, instead of standard input and output.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: address to listen on.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535),
              help="With --http: port to listen on.")  # fmt: skip
def mcp(loop: str | None, trust: Trust, serves_http: bool, host: str, port: int) -> None:
    """Run an MCP server whose tools ask people: ask, wait, get, cancel and list_open.

    It calls a receiver (HITL_RECEIVER_URL) with one of its tokens (HITL_RECEIVER_TOKEN), or the `dev` stack in
    this folder, and never HITL.sh. Over HTTP, a client must send the same token as "Authorization: Bearer
    TOKEN". Needs the extra: pip install 'hitl-receiver[mcp]'.

    \b
    hitl-receiver mcp --loop Payouts
    hitl-receiver mcp --loop Payouts --trust signed
    hitl-receiver mcp --http --port 8001
    """
    if find_spec("mcp") is None:
        raise CommandError("The MCP SDK is not installed: run pip install 'hitl-receiver[mcp]'.")
    with explain_errors():
        environ = environment()
        url, token = receiver_url(None, environ), receiver_token(None, environ)
        asyncio.run(_serve(AsyncHitl(url, token), token, loop, trust, (host, port) if serves_http else None))


async def _serve(hitl: AsyncHitl, token: str, loop: str | None, trust: Trust, address: tuple[str, int] | None) -> None:
    from service.mcp_server.bearer_guard import BearerGuard
    from service.mcp_server.mcp_tools import build_server

    async with hitl:
        server = build_server(hitl, loop=loop, trust=trust)
        if address is None:
            await server.run_stdio_async()
            return
        host, port = address
        app = BearerGuard(
            server.streamable_http_app(host=host, stateless_http=True, json_response=True),
            token,
        )
        config = uvicorn.Config(
            app, host=host, port=port, access_log=False, log_config=logs.configuration(logs.level()), ws="none"
        )
        await uvicorn.Server(config).serve()
