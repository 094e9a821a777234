"""The page over HTTP: shown, answered on, kept up to date."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from hitl_sandbox.application import SandboxParts
from hitl_sandbox.clock import iso
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.invitation import code_picture
from hitl_sandbox.model.records import Upload
from hitl_sandbox.origin import check_same_site
from hitl_sandbox.page.cards import board
from hitl_sandbox.page.controls import read_form
from hitl_sandbox.page.examples import ask_examples

HERE = Path(__file__).parent

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "img-src 'self' data: http: https:; media-src 'self' http: https:; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    # Not `no-referrer`: browsers would then send `Origin: null` with the forms of this very page.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
UPLOAD_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

#: Real seconds between the signs of life on a quiet event stream.
HEARTBEAT = 15

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters["iso"] = iso


def show(request: Request, problem: str = "", status: int = 200) -> Response:
    origin = str(request.base_url).rstrip("/")
    parts: SandboxParts = request.app.state.parts
    page = templates.get_template("template.html")
    html = page.render(board=board(parts), origin=origin, problem=problem)
    return HTMLResponse(html, status, headers=PAGE_HEADERS)


async def page(request: Request) -> Response:
    return show(request)


Action = Callable[[SandboxParts, Request], Awaitable[None]]


def action(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """A form's target: the script is told the outcome as JSON, a browser without it gets the page again."""

    async def serve(request: Request) -> Response:
        scripted = request.headers.get("accept") == "application/json"
        try:
            check_same_site(request)
            await act(request.app.state.parts, request)
        except Refusal as refusal:
            problem = refusal.msg if refusal.data is None else f"{refusal.msg}: {refusal.data}"
            if scripted:
                return JSONResponse({"problem": problem}, refusal.status)
            return show(request, problem, refusal.status)
        return JSONResponse({"problem": None}) if scripted else RedirectResponse("/", 303)

    return serve


async def answer(parts: SandboxParts, request: Request) -> None:
    asked, _ = parts.lifecycle.open_request(request.path_params["id"])
    async with request.form() as form:
        parts.lifecycle.answer(asked.id, read_form(asked.ask, form), str(form.get("reviewer") or "") or None)


async def claim(parts: SandboxParts, request: Request) -> None:
    async with request.form() as form:
        parts.lifecycle.claim(request.path_params["id"], str(form.get("reviewer") or "") or None)


async def release(parts: SandboxParts, request: Request) -> None:
    parts.lifecycle.release(parts.lifecycle.find(request.path_params["id"]))


async def advance(parts: SandboxParts, request: Request) -> None:
    async with request.form() as form:
        seconds = str(form.get("seconds"))
    if not seconds.isdecimal():
        raise Refusal(400, "Invalid number of seconds", "give a whole number, 0 or greater")
    await parts.timeline.advance(int(seconds))


async def examples(parts: SandboxParts, request: Request) -> None:
    ask_examples(parts)


async def live(request: Request) -> Response:
    """Server-sent events: the number of the latest change, whenever there is one."""
    parts: SandboxParts = request.app.state.parts
    return StreamingResponse(_changes(parts), media_type="text/event-stream", headers=PAGE_HEADERS)


async def _changes(parts: SandboxParts) -> AsyncIterator[str]:
    changes = parts.sandbox_state.changes
    while not changes.closed:
        seen = changes.number
        yield f"data: {seen}\n\n"
        while not await changes.after(seen, HEARTBEAT):
            yield ": still here\n\n"


async def upload(request: Request) -> Response:
    parts: SandboxParts = request.app.state.parts
    kept = parts.sandbox_state.store.get(Upload, request.path_params["id"])
    if kept is None:
        raise HTTPException(404)
    return Response(kept.content, media_type=kept.file_type, headers=UPLOAD_HEADERS)


async def invite_picture(request: Request) -> Response:
    return Response(code_picture(request.path_params["code"]), media_type="image/png")


async def join(request: Request) -> Response:
    """Where a join link leads; people are let in by the control route."""
    return RedirectResponse("/", 303)


live_routes: list[BaseRoute] = [Route("/live", live)]
routes: list[BaseRoute] = [
    Route("/", page),
    Route("/page/requests/{id}/answer", action(answer), methods=["POST"]),
    Route("/page/requests/{id}/claim", action(claim), methods=["POST"]),
    Route("/page/requests/{id}/release", action(release), methods=["POST"]),
    Route("/page/clock", action(advance), methods=["POST"]),
    Route("/page/examples", action(examples), methods=["POST"]),
    Route("/uploads/{id}", upload),
    Route("/qr/{code}.png", invite_picture),
    Route("/join/{code}", join),
    Mount("/static", StaticFiles(directory=HERE / "static")),
]
