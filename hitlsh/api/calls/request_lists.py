"""Requests, many at a time: one page, all pages, or all of a loop."""

from typing import Literal

from hitlsh.api.models.requests import Request, RequestPage, RequestSummary
from hitlsh.api.operations import Envelope, Operation, path_segment, without_none
from hitlsh.api.paging import Page, PagedList, next_offset
from hitlsh.api.questions.limits import check_integer, check_one_of
from hitlsh.api.questions.request_body import PRIORITIES, Priority

Sort = Literal["created_at_desc", "created_at_asc", "priority_desc", "status_asc"]
_SORTS = ("created_at_desc", "created_at_asc", "priority_desc", "status_asc")


def page(
    *,
    status: str | None = None,
    priority: Priority | None = None,
    loop_id: str | None = None,
    sort: Sort | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Operation[RequestPage]:
    """One page of the requests this key created, with the count of all matches where HITL.sh gives it."""
    if priority is not None:
        check_one_of("priority", priority, PRIORITIES)
    if sort is not None:
        check_one_of("sort", sort, _SORTS)
    check_integer("limit", limit, 1, 100)
    check_integer("offset", offset, 0, 10**9)
    query = without_none(status=status, priority=priority, loop_id=loop_id, sort=sort, limit=limit, offset=offset)
    return Operation(method="GET", path="/api/requests", query=query, read=_page)


def list_all(
    *,
    status: str | None = None,
    priority: Priority | None = None,
    loop_id: str | None = None,
    sort: Sort | None = None,
    page_size: int = 100,
    offset: int = 0,
) -> PagedList[RequestSummary]:
    """The requests this key created, fetched as you go: one call for every ``page_size`` (1 to 100) of them.

    Requests that leave the filter meanwhile can make the walk skip others; ``sort="created_at_asc"`` without
    a status filter skips none.
    """

    def page_at(start: int) -> Operation[Page[RequestSummary]]:
        asked = page(status=status, priority=priority, loop_id=loop_id, sort=sort, limit=page_size, offset=start)
        return Operation(
            method=asked.method,
            path=asked.path,
            query=asked.query,
            read=lambda reply: _step(_page(reply), start, page_size),
        )

    page_at(offset)  # what is wrong with the arguments is said now, not at the first iteration
    return PagedList(offset=offset, page_at=page_at)


def list_of_loop(loop_id: str) -> Operation[tuple[Request, ...]]:
    """The requests of one loop, in full; no paging is documented."""
    return Operation(
        method="GET",
        path=f"/api/loops/{path_segment('loop_id', loop_id)}/requests",
        read=lambda reply: tuple(Request.from_payload(found) for found in reply.items("requests")),
    )


def _page(reply: Envelope) -> RequestPage:
    return RequestPage.from_payload({**reply.data, "requests": reply.items("requests")})


def _step(found: RequestPage, start: int, page_size: int) -> Page[RequestSummary]:
    after = next_offset(
        offset=start,
        limit=page_size,
        got=len(found.requests),
        more=found.has_more,
        total=found.total,
        said=(found.pagination or {}).get("next_offset"),
    )
    return Page(items=found.requests, next_offset=after)
