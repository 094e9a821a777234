"""The routes of the page: the page itself, its forms and its event stream."""

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
from hitl_sandbox.model.records import StoredUpload
from hitl_sandbox.origin import check_same_site
from hitl_sandbox.page.answer_controls import read_form
from hitl_sandbox.page.content import page_content
from hitl_sandbox.page.examples import create_examples

HERE = Path(__file__).parent

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "img-src 'self' data: http: https:; media-src 'self' http: https:; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    # With `no-referrer` browsers send `Origin: null` with the forms of this page.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
UPLOAD_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

#: Real seconds between the comments that keep an idle event stream open.
HEARTBEAT = 15

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters["iso"] = iso


def render_page(request: Request, problem: str = "", status: int = 200) -> Response:
    origin = str(request.base_url).rstrip("/")
    parts: SandboxParts = request.app.state.parts
    page = templates.get_template("template.html")
    html = page.render(content=page_content(parts), origin=origin, problem=problem)
    return HTMLResponse(html, status, headers=PAGE_HEADERS)


async def page(request: Request) -> Response:
    return render_page(request)


Action = Callable[[SandboxParts, Request], Awaitable[None]]


def action(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """Make a route of a form's action: the script gets the outcome as JSON, a browser without scripts the page."""

    async def serve(request: Request) -> Response:
        is_script = request.headers.get("accept") == "application/json"
        try:
            check_same_site(request)
            await act(request.app.state.parts, request)
        except Refusal as refusal:
            problem = refusal.msg if refusal.data is None else f"{refusal.msg}: {refusal.data}"
            if is_script:
                return JSONResponse({"problem": problem}, refusal.status)
            return render_page(request, problem, refusal.status)
        return JSONResponse({"problem": None}) if is_script else RedirectResponse("/", 303)

    return serve


async def answer(parts: SandboxParts, request: Request) -> None:
    stored, _ = parts.lifecycle.open_request(request.path_params["id"])
    async with request.form() as form:
        parts.lifecycle.answer(stored.id, read_form(stored.spec, form), str(form.get("reviewer") or "") or None)


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
    await parts.scheduler.advance(int(seconds))


async def examples(parts: SandboxParts, request: Request) -> None:
    create_examples(parts)


async def live(request: Request) -> Response:
    """Send the number of each change as a server-sent event."""
    parts: SandboxParts = request.app.state.parts
    return StreamingResponse(_changes(parts), media_type="text/event-stream", headers=PAGE_HEADERS)


async def _changes(parts: SandboxParts) -> AsyncIterator[str]:
    changes = parts.state.changes
    while not changes.closed:
        number = changes.number
        yield f"data: {number}\n\n"
        while not await changes.wait_after(number, HEARTBEAT):
            yield ": keep-alive\n\n"


async def upload(request: Request) -> Response:
    parts: SandboxParts = request.app.state.parts
    stored = parts.state.store.get(StoredUpload, request.path_params["id"])
    if stored is None:
        raise HTTPException(404)
    return Response(stored.content, media_type=stored.file_type, headers=UPLOAD_HEADERS)


async def invite_picture(request: Request) -> Response:
    return Response(code_picture(request.path_params["code"]), media_type="image/png")


async def join(request: Request) -> Response:
    """Redirect a join link to the page; the control route adds members."""
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
