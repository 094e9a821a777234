"""Whatever HITL.sh sends: a model reads it or says why not, and a walk through a list ends."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlsh.api.models.requests import Request
from hitlsh.api.paging import next_offset

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([field.name for field in msgspec.structs.fields(Request) if field.name != "id"])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(NAMES, JSON, max_size=6))
def test_no_field_but_the_id_can_make_a_request_unreadable(fields: dict[str, Any]) -> None:
    request = Request.from_payload({"id": "r", **fields})

    assert request.id == "r"
    assert request.raw == {"id": "r", **fields}
    assert request.outcome in ("completed", "timeout", "cancelled", None)
    assert repr(request.answer)
    assert repr(request.reviewer)


@given(
    offset=st.integers(0, 1000),
    limit=st.integers(1, 100),
    count=st.integers(0, 100),
    has_more=st.none() | st.booleans(),
    total=st.none() | st.integers(0, 1000),
    given_offset=JSON,
)
def test_a_list_advances_or_ends(
    offset: int, limit: int, count: int, has_more: Any, total: Any, given_offset: Any
) -> None:
    after = next_offset(offset=offset, limit=limit, count=count, has_more=has_more, total=total, given=given_offset)

    assert after is None or after > offset
    assert (after is None) or count > 0
