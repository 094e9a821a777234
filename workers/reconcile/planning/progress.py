"""Values of a reconcile run: tracked requests, the API's answers, and the checkpoint of a run that was cut short.

Times are seconds since 1970. All of them can be saved as JSON.
"""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request as a listing shows it."""

    id: str
    created_at: float
    ended: bool


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a listing."""

    rows: tuple[Row, ...]
    #: False only if HITL.sh says that this is the last page.
    more: bool = True


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a call for one request: 404, or 403 for a request of another key."""

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
    """What one answer shows, as request ids; with rows that were not searched for, because discovery needs them."""

    #: Ended: to be accepted.
    ended: tuple[str, ...] = ()
    #: Still open: checked now.
    open: tuple[str, ...] = ()
    #: Absent where expected, which does not prove that they ended: each is read by itself.
    hints: tuple[str, ...] = ()
    #: Unknown to HITL.sh, or not visible to this API key.
    missing: tuple[str, ...] = ()


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of a reconcile run, saved after every answer.

    All its other results are in the request tracker by then (`last_checked`): a run that dies loses one page.
    """

    #: The open listing that is being read (by number), the next offset, and whether all have been read.
    listing: int = 0
    offset: int = 0
    overlap: int = 5
    done: bool = False
    #: Requests absent where expected, and how many pages did not show each.
    absent: dict[str, int] = {}
    #: (created_at, rows) by which the list has moved against the request tracker's offsets.
    drifts: tuple[tuple[float, int], ...] = ()
