"""Lists of requests: one page, all pages, or all requests of a loop (https://docs.hitl.sh, "Requests")."""

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
    """Return one page of the requests that the API key created; ``limit``: 1 to 100."""
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
    """Iterate over the requests that the API key created, with one call for every ``page_size`` (1 to 100) of them.

    A request that leaves the filter during the iteration can cause another to be skipped; ``sort="created_at_asc"``
    without a status filter skips none.
    """

    def page_at(start: int) -> Operation[Page[RequestSummary]]:
        operation = page(status=status, priority=priority, loop_id=loop_id, sort=sort, limit=page_size, offset=start)
        return Operation(
            method=operation.method,
            path=operation.path,
            query=operation.query,
            read=lambda reply: _to_page(_page(reply), start, page_size),
        )

    page_at(offset)  # raises for wrong arguments now, not at the first iteration
    return PagedList(offset=offset, page_at=page_at)


def list_of_loop(loop_id: str) -> Operation[tuple[Request, ...]]:
    """Return all requests of one loop; no paging is documented."""
    return Operation(
        method="GET",
        path=f"/api/loops/{path_segment('loop_id', loop_id)}/requests",
        read=lambda reply: tuple(Request.from_payload(request) for request in reply.items("requests")),
    )


def _page(reply: Envelope) -> RequestPage:
    return RequestPage.from_payload({**reply.data, "requests": reply.items("requests")})


def _to_page(request_page: RequestPage, start: int, page_size: int) -> Page[RequestSummary]:
    following = next_offset(
        offset=start,
        limit=page_size,
        count=len(request_page.requests),
        has_more=request_page.has_more,
        total=request_page.total,
        given=(request_page.pagination or {}).get("next_offset"),
    )
    return Page(items=request_page.requests, next_offset=following)
