"""Values of a reconcile run: tracked requests, the API's answers, and the checkpoint of a run that was cut short.

Times are seconds since 1970. All of them can be kept as JSON.
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
    """What one answer shows. Rows that were not searched for are included: discovery needs them."""

    #: Ended: to be accepted.
    ended: tuple[str, ...] = ()
    #: Still open: checked now.
    open: tuple[str, ...] = ()
    #: Absent where they were expected, which does not prove that they ended: each is read by itself.
    hints: tuple[str, ...] = ()
    #: HITL.sh does not know these any more, as far as this key may see.
    missing: tuple[str, ...] = ()


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of a reconcile run, saved after every answer.

    All its other results are in the request tracker by then (`last_checked`): a run that dies loses one page.
    """

    #: Of the open listings: which of them is read, from which offset, and whether all have been read.
    listing: int = 0
    offset: int = 0
    overlap: int = 5
    done: bool = False
    #: What is absent where it was expected, and how many pages failed to show it.
    absent: dict[str, int] = {}
    #: (created_at, rows) by which the list has moved against the request tracker's offsets.
    drifts: tuple[tuple[float, int], ...] = ()
