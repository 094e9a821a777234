"""The content of the page, as values for its template."""

import re
from typing import Any

import msgspec
from markupsafe import Markup

from hitl_sandbox.application import SandboxParts
from hitl_sandbox.model.answers import show_answer
from hitl_sandbox.model.records import OPEN, StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.model.request_spec import PRIORITIES
from hitl_sandbox.page.answer_controls import AnswerControl, control_for
from hitl_sandbox.page.markdown import render
from hitl_sandbox.webhooks.webhook_records import WebhookDelivery

#: The most requests that the page shows; all are in /sandbox/state.
MAX_QUEUE = 60
MAX_HISTORY = 40

OUTCOMES = {"completed": "Answered", "timeout": "Timed out", "cancelled": "Cancelled"}


class RequestCard(msgspec.Struct, frozen=True, kw_only=True):
    """An open request."""

    id: str
    #: A card is drawn again when its version changes.
    version: str
    loop: StoredLoop
    priority: str
    text: Markup
    images: tuple[str, ...]
    files: tuple[str, ...]
    videos: tuple[str, ...]
    audios: tuple[str, ...]
    context: str
    timeout_at: float
    default: str
    control: AnswerControl
    members: tuple[StoredMember, ...]
    claims: bool
    claimed_by: StoredMember | None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An ended request and its deliveries."""

    id: str
    version: str
    status: str
    outcome: str
    excerpt: str
    loop: str
    answer: str
    reviewer: str
    ended_at: float
    seconds: float | None
    deliveries: tuple[WebhookDelivery, ...]


class PageContent(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the whole page."""

    #: The most urgent of the open requests.
    queue: tuple[RequestCard, ...]
    open_count: int
    history: tuple[HistoryEntry, ...]
    now: float
    speed: float


def page_content(parts: SandboxParts) -> PageContent:
    store, settings = parts.state.store, parts.state.settings
    loops = {loop.id: loop for loop in store.find(StoredLoop)}
    open_requests = store.scheduled(StoredRequest)
    open_requests.sort(key=lambda request: (-PRIORITIES.index(request.spec.priority), request.created_at))
    recent = store.latest(StoredRequest, 5 * MAX_HISTORY)
    ended = [request for request in recent if request.status not in OPEN]
    ended.sort(key=lambda request: request.updated_at, reverse=True)
    return PageContent(
        queue=tuple(_card(request, loops[request.loop_id], settings.claims) for request in open_requests[:MAX_QUEUE]),
        open_count=len(open_requests),
        history=tuple(_history_entry(parts, request, loops) for request in ended[:MAX_HISTORY]),
        now=parts.state.now(),
        speed=parts.state.clock.speed,
    )


def _card(request: StoredRequest, loop: StoredLoop, claims: bool) -> RequestCard:
    spec = request.spec
    claimed_by = next((member for member in loop.members if member.user_id == request.claimed_by), None)
    return RequestCard(
        id=request.id,
        version=f"{request.status}-{request.updated_at}-{loop.updated_at}",
        loop=loop,
        priority=spec.priority,
        text=render(spec.request_text),
        images=_links(spec.attachments, "image", first=spec.image_url),
        files=_links(spec.attachments, "file"),
        videos=_links(spec.attachments, "video"),
        audios=_links(spec.attachments, "audio"),
        context=_indented(spec.context) if spec.context else "",
        timeout_at=request.timeout_at,
        default=_default(spec.default_response),
        control=control_for(spec),
        members=loop.active() if claimed_by is None else (claimed_by,),
        claims=claims,
        claimed_by=claimed_by,
    )


def _links(attachments: dict[str, Any], kind: str, first: str | None = None) -> tuple[str, ...]:
    """The distinct web addresses of one kind of attachment; other URLs are left out."""
    urls = [first, attachments.get(f"{kind}_url"), *(attachments.get(f"{kind}_urls") or [])]
    links = dict.fromkeys(link for link in urls if isinstance(link, str))
    return tuple(link for link in links if link.startswith(("https://", "http://", "/uploads/")))


def _indented(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _default(default: Any) -> str:
    if default is None:
        return "no answer"
    if isinstance(default, list):
        return ", ".join(str(item) for item in default) or "nothing selected"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return str(default) if default != "" else "an empty text"


def _history_entry(parts: SandboxParts, request: StoredRequest, loops: dict[str, StoredLoop]) -> HistoryEntry:
    deliveries = tuple(parts.state.store.find(WebhookDelivery, parent=request.id))
    attempts = sum(len(delivery.attempts) for delivery in deliveries)
    states = "".join(delivery.state[0] for delivery in deliveries)
    reviewer = parts.lifecycle.answered_by(request)
    return HistoryEntry(
        id=request.id,
        version=f"{request.updated_at}-{attempts}-{states}",
        status=request.status,
        outcome=OUTCOMES[request.status],
        excerpt=_excerpt(request.spec.request_text),
        loop=loops[request.loop_id].name,
        answer=_answer(request),
        reviewer="" if reviewer is None else reviewer.name,
        ended_at=request.updated_at,
        seconds=request.response_time_seconds(),
        deliveries=deliveries,
    )


def _answer(request: StoredRequest) -> str:
    if request.status == "completed":
        return show_answer(request.spec, request.answer) or "(an empty text)"
    if request.status == "timeout":
        return f"No answer in time; the default is {_default(request.spec.default_response)}"
    return "Cancelled by the caller"


def _excerpt(text: str) -> str:
    """The first line that has text, without Markdown syntax."""
    lines = (re.sub(r"[*`#>|]", "", line).strip(" -_") for line in text.splitlines())
    first = next((line for line in lines if line), text)
    return first if len(first) <= 90 else f"{first[:89]}…"
