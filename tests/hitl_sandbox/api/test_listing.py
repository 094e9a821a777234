import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, refusal


@pytest.fixture
def five(sandbox: Sandbox, api: Caller, loop: str) -> list[str]:
    """Five requests, oldest first, a minute apart; the second is answered, the fourth cancelled."""
    ids = []
    for priority in ("low", "critical", "medium", "high", "low"):
        ids.append(api.request(loop, priority=priority))
        sandbox.advance(60)
    sandbox.answer(ids[1], "Publish")
    api.call("DELETE", f"/requests/{ids[3]}")
    return ids


def listed(api: Caller, **query: object) -> list[str]:
    return [request["id"] for request in api.get("/requests", **query).json()["data"]["requests"]]


def test_the_newest_come_first(api: Caller, five: list[str]) -> None:
    data = api.get("/requests").json()["data"]

    assert [request["id"] for request in data["requests"]] == five[::-1]
    assert (data["count"], data["total"], data["has_more"]) == (5, 5, False)
    assert data["pagination"] == {"limit": 50, "offset": 0}


def test_pages_follow_each_other(api: Caller, five: list[str]) -> None:
    first = api.get("/requests", limit=2).json()["data"]
    last = api.get("/requests", limit=2, offset=4).json()["data"]

    assert first["pagination"] == {"limit": 2, "offset": 0, "next_offset": 2}
    assert (first["count"], first["total"], first["has_more"]) == (2, 5, True)
    assert last["pagination"] == {"limit": 2, "offset": 4}
    assert [request["id"] for request in last["requests"]] == five[:1]


def test_a_page_past_the_end_is_empty(api: Caller, five: list[str]) -> None:
    data = api.get("/requests", offset=99).json()["data"]

    assert (data["requests"], data["total"], data["has_more"]) == ([], 5, False)


def test_lists_are_filtered(api: Caller, loop: str, five: list[str]) -> None:
    other = api.request(api.loop())

    assert listed(api, status="completed") == [five[1]]
    assert listed(api, status="cancelled") == [five[3]]
    assert listed(api, priority="low") == [five[4], five[0]]
    assert other not in listed(api, loop_id=loop)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("created_at_asc", [0, 1, 2, 3, 4]),
        ("created_at_desc", [4, 3, 2, 1, 0]),
        ("priority_desc", [1, 3, 2, 4, 0]),
        ("status_asc", [3, 1, 4, 2, 0]),
    ],
)
def test_lists_are_sorted(api: Caller, five: list[str], sort: str, order: list[int]) -> None:
    assert listed(api, sort=sort) == [five[index] for index in order]


@pytest.mark.parametrize(
    ("query", "msg", "data"),
    [
        (
            {"status": "timed_out"},
            "Invalid status filter value",
            "status must be one of: pending, completed, timeout, cancelled",
        ),
        ({"priority": "urgent"}, "Validation failed", "priority must be one of: low, medium, high, critical"),
        ({"limit": 0}, "Invalid pagination parameters", "limit must be between 1 and 100"),
        ({"limit": 101}, "Invalid pagination parameters", "limit must be between 1 and 100"),
        ({"limit": "many"}, "Invalid pagination parameters", "limit must be between 1 and 100"),
        ({"offset": -1}, "Invalid pagination parameters", "offset must be 0 or greater"),
        ({"loop_id": "x"}, "Invalid loop ID format", None),
        (
            {"sort": "age"},
            "Validation failed",
            "sort must be one of: created_at_desc, created_at_asc, priority_desc, status_asc",
        ),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(
    api: Caller, query: dict[str, object], msg: str, data: str | None
) -> None:
    assert refusal(api.get("/requests", **query)) == (400, msg, data)


def test_a_loops_requests_are_listed_in_full(api: Caller, loop: str, five: list[str]) -> None:
    data = api.get(f"/loops/{loop}/requests").json()["data"]

    assert [request["id"] for request in data["requests"]] == five[::-1]
    assert (data["loop_id"], data["count"]) == (loop, 5)
    assert "response_config" in data["requests"][0]
