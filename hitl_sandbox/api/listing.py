"""Filters, sort orders and pages of the request list."""

from collections.abc import Mapping

import msgspec

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.ids import is_object_id
from hitl_sandbox.model.records import StoredRequest
from hitl_sandbox.model.request_spec import PRIORITIES, STATUSES, invalid

SORTS = ("created_at_desc", "created_at_asc", "priority_desc", "status_asc")


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a list call."""

    status: str | None
    priority: str | None
    loop_id: str | None
    sort: str
    limit: int
    offset: int

    def select(self, requests: list[StoredRequest]) -> list[StoredRequest]:
        """Filter and sort requests, which are given oldest first; ties are ordered newest first."""
        selected = [request for request in requests if self._matches(request)]
        if self.sort == "created_at_asc":
            return selected
        selected.reverse()
        if self.sort == "priority_desc":
            selected.sort(key=lambda request: -PRIORITIES.index(request.spec.priority))
        if self.sort == "status_asc":
            selected.sort(key=lambda request: request.status)
        return selected

    def _matches(self, request: StoredRequest) -> bool:
        return self.status in (None, request.status) and self.priority in (None, request.spec.priority)

    def page(self, matches: list[StoredRequest], *, drift: int) -> tuple[list[StoredRequest], int]:
        """Get the page and the total, as if `drift` requests were added (negative: removed) since the first page."""
        start = max(0, self.offset - drift)
        return matches[start : start + self.limit], max(0, len(matches) + drift)


def read_list_query(query: Mapping[str, str], *, claims: bool) -> ListQuery:
    statuses = (*STATUSES, "claimed") if claims else STATUSES
    status, priority = query.get("status"), query.get("priority")
    if status is not None and status not in statuses:
        raise Refusal(400, "Invalid status filter value", f"status must be one of: {', '.join(statuses)}")
    if priority is not None and priority not in PRIORITIES:
        raise invalid(f"priority must be one of: {', '.join(PRIORITIES)}")
    loop_id = query.get("loop_id")
    if loop_id is not None and not is_object_id(loop_id):
        raise Refusal(400, "Invalid loop ID format")
    sort = query.get("sort", SORTS[0])
    if sort not in SORTS:
        raise invalid(f"sort must be one of: {', '.join(SORTS)}")
    limit, offset = _number(query, "limit", 50), _number(query, "offset", 0)
    if limit is None or not 1 <= limit <= 100:
        raise Refusal(400, "Invalid pagination parameters", "limit must be between 1 and 100")
    if offset is None or offset < 0:
        raise Refusal(400, "Invalid pagination parameters", "offset must be 0 or greater")
    return ListQuery(status=status, priority=priority, loop_id=loop_id, sort=sort, limit=limit, offset=offset)


def _number(query: Mapping[str, str], name: str, default: int) -> int | None:
    try:
        return int(query.get(name, default))
    except ValueError:
        return None
