"""Every documented error is told apart, keeps the server's words, and never shows the key."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import hitlsh
from hitlsh.api import (
    ApiError,
    BadRequest,
    BudgetExhausted,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    ServerError,
    StatusError,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
    errors,
)
from hitlsh.api.calls import accounts
from hitlsh.api.http.replies import HttpReply, read, status_error
from hitlsh.api.operations import to_http_request
from hitlsh.errors import HitlshError

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
KEY = "hitl_live_0123456789abcdef"
SHARED = Path(__file__).parents[4] / "shared" / "hitl-api" / "payloads"


def refused(status: int, body: Any, **headers: str) -> StatusError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reading = read(HttpReply(status=status, headers=headers, content=content), NOW, KEY)
    call = accounts.test()
    found = status_error(call, to_http_request(call, "https://api.hitl.sh/v1", "/api"), status, reading)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, StatusError),
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, StatusError),
        (408, StatusError),
        (409, Conflict),
        (429, RateLimited),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
    ],
)
def test_each_status_has_its_class_and_its_words(status: int, kind: type[StatusError]) -> None:
    error = refused(status, {"error": True, "msg": "Some words"})

    assert type(error) is kind
    assert (error.status, error.msg, error.method, error.path) == (status, "Some words", "GET", "/test")
    assert f"GET /test answered {status}: Some words" in str(error)


@pytest.mark.parametrize("path", sorted(SHARED.glob("rest.error.*.json")), ids=lambda path: path.name)
def test_the_documented_error_bodies_are_read(path: Path) -> None:
    body = json.loads(path.read_text())

    error = refused(int(path.name.split(".")[2]), body)

    assert (error.msg, error.data) == (body["msg"], body.get("data"))


@pytest.mark.parametrize("data", ["priority must be one of: low", {"field": "name", "issue": "too long"}, None])
def test_what_the_server_adds_is_kept(data: Any) -> None:
    error = refused(400, {"error": True, "msg": "Validation failed", "data": data})

    assert error.data == data
    assert "Validation failed" in str(error)


USAGE = {"usage_count": 100, "usage_limit": 100, "remaining": 0}
RESET = "2026-03-01T11:00:00Z"


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ({"msg": "Rate limit exceeded. Maximum 100 requests per hour per API key."}, None),
        ({"msg": "API key usage limit exceeded"}, None),
        ({"msg": "API rate limit exceeded", "data": USAGE}, USAGE),
        ({"msg": "API key request limit exceeded", "data": USAGE}, USAGE),
        (
            {"msg": "API rate limit exceeded", "data": USAGE | {"reset_at": RESET}},
            USAGE | {"reset_at": RESET},
        ),
        ({"msg": "API rate limit exceeded"} | USAGE, USAGE),
    ],
)
def test_all_six_forms_of_a_429_read_alike(body: dict[str, Any], data: Any) -> None:
    error = refused(429, {"error": True} | body)

    assert isinstance(error, RateLimited)
    assert error.data == data
    assert error.msg == body["msg"]
    assert error.reset_at == datetime(
        2026, 3, 1, *((11, 0) if data and RESET in data.values() else (10, 31)), tzinfo=UTC
    )


@pytest.mark.parametrize("body", [b"<html><h1>502 Bad Gateway</h1></html>", b"", b"\xff\xfe", b"[1]", b"[" * 100_000])
def test_a_gateway_that_speaks_no_json_is_an_error_like_any_other(body: bytes) -> None:
    error = refused(502, body)

    assert isinstance(error, ServerError)
    assert "not JSON" in error.msg


def test_the_key_is_not_shown_even_when_a_gateway_echoes_it() -> None:
    error = refused(400, {"error": True, "msg": f"bad header Bearer {KEY}", "data": {"sent": KEY}})

    assert KEY not in f"{error} {error!r} {error.data} {error.args}"


def test_errors_survive_the_way_to_another_process() -> None:
    samples: list[ApiError] = [
        refused(429, {"error": True, "msg": "Slow down"}),
        Unreachable("POST", "/x", "ReadTimeout", sent=True),
        UnexpectedReply("GET", "/x", 200, "not JSON", "<html>"),
        BudgetExhausted("none left", NOW),
    ]

    for error in samples:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_every_error_is_below_the_one_root_and_drawn_in_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]

    assert all(issubclass(kind, HitlshError) for kind in kinds)
    assert [kind.__name__ for kind in kinds if kind.__name__ not in (hitlsh.__doc__ or "")] == []
