"""What the page shows, as values for the template."""

import re
from typing import Any

import msgspec
from markupsafe import Markup

from hitl_sandbox.application import SandboxParts
from hitl_sandbox.model.answers import show_answer
from hitl_sandbox.model.records import OPEN, Loop, Member, Request
from hitl_sandbox.model.rules import PRIORITIES
from hitl_sandbox.page.controls import Control, control_for
from hitl_sandbox.page.markdown import render
from hitl_sandbox.webhooks.records import Delivery

#: What is shown at most; the rest is in /sandbox/state.
SHOWN_QUEUE = 60
SHOWN_HISTORY = 40

OUTCOMES = {"completed": "Answered", "timeout": "Timed out", "cancelled": "Cancelled"}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """An open request."""

    id: str
    #: Changes whenever the card has to be drawn anew.
    version: str
    loop: Loop
    priority: str
    text: Markup
    images: tuple[str, ...]
    files: tuple[str, ...]
    videos: tuple[str, ...]
    audios: tuple[str, ...]
    context: str
    asked_at: float
    timeout_at: float
    default: str
    control: Control
    members: tuple[Member, ...]
    claims: bool
    claimed_by: Member | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A finished request and what was sent about it."""

    id: str
    version: str
    status: str
    outcome: str
    excerpt: str
    loop: str
    answer: str
    by: str
    ended_at: float
    seconds: float | None
    deliveries: tuple[Delivery, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole page."""

    #: The most urgent of all that are waiting.
    queue: tuple[Card, ...]
    waiting: int
    history: tuple[Entry, ...]
    now: float
    speed: float


def board(parts: SandboxParts) -> Board:
    store, settings = parts.sandbox_state.store, parts.sandbox_state.settings
    loops = {loop.id: loop for loop in store.find(Loop)}
    waiting = store.scheduled(Request)
    waiting.sort(key=lambda request: (-PRIORITIES.index(request.ask.priority), request.created_at))
    recent = store.latest(Request, 5 * SHOWN_HISTORY)
    ended = [request for request in recent if request.status not in OPEN]
    ended.sort(key=lambda request: request.updated_at, reverse=True)
    return Board(
        queue=tuple(_card(request, loops[request.loop_id], settings.claims) for request in waiting[:SHOWN_QUEUE]),
        waiting=len(waiting),
        history=tuple(_entry(parts, request, loops) for request in ended[:SHOWN_HISTORY]),
        now=parts.sandbox_state.now(),
        speed=parts.sandbox_state.clock.speed,
    )


def _card(request: Request, loop: Loop, claims: bool) -> Card:
    ask = request.ask
    claimed_by = next((member for member in loop.members if member.user_id == request.claimed_by), None)
    return Card(
        id=request.id,
        version=f"{request.status}-{request.updated_at}-{loop.updated_at}",
        loop=loop,
        priority=ask.priority,
        text=render(ask.request_text),
        images=_links(ask.attachments, "image", first=ask.image_url),
        files=_links(ask.attachments, "file"),
        videos=_links(ask.attachments, "video"),
        audios=_links(ask.attachments, "audio"),
        context=_pretty(ask.context) if ask.context else "",
        asked_at=request.created_at,
        timeout_at=request.timeout_at,
        default=_default(ask.default_response),
        control=control_for(ask),
        members=loop.active() if claimed_by is None else (claimed_by,),
        claims=claims,
        claimed_by=claimed_by,
    )


def _links(attachments: dict[str, Any], kind: str, first: str | None = None) -> tuple[str, ...]:
    """Every web address of a kind, once; anything else is not put into a page."""
    named = [first, attachments.get(f"{kind}_url"), *(attachments.get(f"{kind}_urls") or [])]
    links = dict.fromkeys(link for link in named if isinstance(link, str))
    return tuple(link for link in links if link.startswith(("https://", "http://", "/uploads/")))


def _pretty(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _default(default: Any) -> str:
    if default is None:
        return "no answer"
    if isinstance(default, list):
        return ", ".join(str(item) for item in default) or "nothing selected"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return str(default) if default != "" else "an empty text"


def _entry(parts: SandboxParts, request: Request, loops: dict[str, Loop]) -> Entry:
    deliveries = tuple(parts.sandbox_state.store.find(Delivery, parent=request.id))
    attempts = sum(len(delivery.attempts) for delivery in deliveries)
    states = "".join(delivery.state[0] for delivery in deliveries)
    by = parts.lifecycle.answered_by(request)
    return Entry(
        id=request.id,
        version=f"{request.updated_at}-{attempts}-{states}",
        status=request.status,
        outcome=OUTCOMES[request.status],
        excerpt=_excerpt(request.ask.request_text),
        loop=loops[request.loop_id].name,
        answer=_answer(request),
        by="" if by is None else by.name,
        ended_at=request.updated_at,
        seconds=request.response_time_seconds(),
        deliveries=deliveries,
    )


def _answer(request: Request) -> str:
    if request.status == "completed":
        return show_answer(request.ask, request.answer) or "(an empty text)"
    if request.status == "timeout":
        return f"nobody answered; the default is {_default(request.ask.default_response)}"
    return "withdrawn by the caller"


def _excerpt(text: str) -> str:
    """The first line with something in it, without Markdown's marks."""
    lines = (re.sub(r"[*`#>|]", "", line).strip(" -_") for line in text.splitlines())
    first = next((line for line in lines if line), text)
    return first if len(first) <= 90 else f"{first[:89]}…"
