"""Values of a reconcile run: tracked requests, the API's answers, and the checkpoint of a run that was cut short.

Times are seconds since the epoch. All of it can be kept as JSON.
"""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconcile run needs of one request as HITL.sh shows it."""

    id: str
    created_at: float
    ended: bool


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a listing."""

    rows: tuple[Row, ...]
    #: False only when HITL.sh says that this is the end.
    more: bool = True


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a single call that found nothing: 404, or 403 for a request that is not this key's."""

    id: str


Answer = Row | Rows | Missing


class List(msgspec.Struct, frozen=True, kw_only=True):
    """Call: GET /api/requests, newest first."""

    offset: int
    limit: int
    #: None for the unfiltered list.
    status: str | None = None


class Get(msgspec.Struct, frozen=True, kw_only=True):
    """Call: GET /api/requests/{id}."""

    id: str


Call = List | Get


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer proves. Rows that nobody looked for are in it too: discovery needs them."""

    #: Give these to accept.
    ended: tuple[str, ...] = ()
    #: Set `last_checked` of these, and clear `refused`.
    open: tuple[str, ...] = ()
    #: Absent where they were expected. Proves nothing: the reconcile run asks for each by itself.
    hints: tuple[str, ...] = ()
    #: HITL.sh does not know these any more, as far as this key may see.
    missing: tuple[str, ...] = ()


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a reconcile run stands; keep it after every answer.

    All else that a run learns is in the request tracker by then (`last_checked`): a run that dies loses one page.
    """

    #: The walk through the open listings: in which of them, where, and whether it has reached the end.
    listing: int = 0
    offset: int = 0
    overlap: int = 5
    done: bool = False
    #: What is absent where it was expected, and how many pages failed to show it.
    absent: dict[str, int] = {}
    #: (created_at, rows) by which the list has moved against the request tracker's offsets.
    drifts: tuple[tuple[float, int], ...] = ()
