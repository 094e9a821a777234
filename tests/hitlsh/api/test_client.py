"""What both clients put on the wire, what they refuse to, and that they are the same."""

import inspect
import json
from typing import Any

import httpx
import pytest

from hitlsh import api as public
from hitlsh.api import (
    AsyncClient,
    BadRequest,
    Client,
    ClientMisconfigured,
    Forbidden,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    StatusError,
    Unauthorized,
)
from hitlsh.api.descriptors import ApiListMethod, ApiMethod, Group
from hitlsh.api.groups import ApiGroups

KEY = "hitl_live_0123456789abcdef"
ONCE = RetryPolicy(attempts=1)


class Recorder:
    """A HITL.sh that answers the same to everything and keeps what it got."""

    def __init__(self, status: int = 200, body: Any = None, **headers: str) -> None:
        self._status, self._body, self._headers = status, body, headers
        self.got: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        if isinstance(self._body, bytes):
            return httpx.Response(self._status, content=self._body, headers=self._headers)
        body = {"error": self._status >= 400, "data": {}} if self._body is None else self._body
        return httpx.Response(self._status, json=body, headers=self._headers)


async def call(kind: type[Client] | type[AsyncClient], recorder: Recorder, key: str = KEY) -> Any:
    """Test a key with either client."""
    transport = httpx.MockTransport(recorder)
    if kind is Client:
        with Client(key, transport=transport, retries=ONCE) as client:
            return client.test()
    async with AsyncClient(key, transport=transport, retries=ONCE) as client:
        return await client.test()


both = pytest.mark.parametrize("kind", [Client, AsyncClient])


@both
async def test_the_headers_are_few(kind: Any) -> None:
    recorder = Recorder()

    await call(kind, recorder)

    (request,) = recorder.got
    assert str(request.url) == "https://api.hitl.sh/v1/test"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("hitl-receiver/")
    assert set(request.headers) == {
        "host", "accept", "accept-encoding", "connection", "user-agent", "authorization",
    }  # fmt: skip


@both
async def test_a_redirect_is_not_followed(kind: Any) -> None:
    recorder = Recorder(302, b"", location="https://elsewhere.example/")

    with pytest.raises(StatusError, match="not followed because the key would go with it"):
        await call(kind, recorder)

    assert len(recorder.got) == 1


#: Every message of the documents (contract, sections 3 and 5), as status, words and data.
DOCUMENTED = [
    (400, "Invalid request body", None),
    (400, "Invalid loop ID format", None),
    (400, "Invalid request ID format", None),
    (400, "Loop name is required", None),
    (400, "Loop icon is required", None),
    (400, "Request text is required", None),
    (400, "timeout_seconds is required for time-sensitive requests", None),
    (400, "Image URL is required when type is image", None),
    (400, "Invalid response configuration", "options array required for select response type"),
    (400, "Invalid default response", "default_response must match one of the configured options"),
    (400, "Validation failed", "request_text must be between 1 and 2000 characters"),
    (400, "Validation failed", "priority must be one of: low, medium, high, critical"),
    (400, "Validation failed", {"field": "name", "issue": "name must be between 1 and 100 characters"}),
    (400, "No active members found in the loop", None),
    (400, "Request cannot be cancelled in current state", None),
    (400, "Feedback can only be added to completed requests", None),
    (400, "At least one field must be provided for update", None),
    (400, "Rating values must be between 1 and 5", None),
    (400, "Comment exceeds maximum length of 1000 characters", None),
    (400, "Invalid status filter value", "status must be one of: pending, completed, timeout, cancelled"),
    (400, "Invalid pagination parameters", "limit must be between 1 and 100"),
    (400, "Cannot delete loop with active requests", None),
    (400, "Missing required field: loop_id", None),
    (400, "Request text exceeds maximum length", None),
    (400, "Loop name must be between 1 and 100 characters", None),
    (400, "At least one approval step is required", None),
    (400, "Decision must be 'approve' or 'reject'", None),
    (400, "Approval chain is no longer pending", None),
    (400, "Approval step is no longer pending", None),
    (401, "Missing Authorization header", None),
    (401, "Invalid Authorization header format. Use 'Bearer <api_key>'", None),
    (401, "Empty API key", None),
    (401, "Invalid API key", None),
    (401, "API key is inactive", None),
    (401, "API key required", None),
    (401, "Invalid authorization token", None),
    (401, "Missing or invalid authorization header", None),
    (401, "Invalid API key format", None),
    (401, "Token has expired", None),
    (401, "Session has expired. Please log in again.", None),
    (403, "Access denied to this loop", None),
    (403, "Access denied to this request", None),
    (403, "Access denied to this resource", None),
    (403, "Only loop creators can create requests", None),
    (403, "Only loop creator can update the loop", None),
    (403, "Only loop creator can delete the loop", None),
    (403, "Only loop creator can remove members", None),
    (403, "Loop creator cannot remove themselves", None),
    (403, "Loop creator cannot be removed", None),
    (403, "You are not an approver for this step", None),
    (404, "Loop not found", None),
    (404, "Request not found", None),
    (404, "User is not a member of this loop", None),
    (404, "Member not found in this loop", None),
    (404, "Approval chain not found", None),
    (409, "Approval chain already exists for this request", None),
    (409, "You have already submitted a decision", None),
    (429, "Rate limit exceeded. Maximum 100 requests per hour per API key.", None),
    (429, "API key usage limit exceeded", None),
    (429, "API rate limit exceeded", {"usage_count": 100, "usage_limit": 100, "remaining": 0}),
    (429, "API key request limit exceeded", {"usage_count": 100, "usage_limit": 100, "remaining": 0}),
    (500, "Internal server error", None),
    (500, "Failed to retrieve loops", None),
    (500, "Failed to create loop", None),
    (500, "Failed to cancel request", None),
    (500, "Failed to get user information", None),
    (502, "Service temporarily unavailable", None),
    (503, "Service temporarily unavailable", None),
]
KINDS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: public.Conflict,
    429: RateLimited,
}


@both
@pytest.mark.parametrize(("status", "msg", "data"), DOCUMENTED)
async def test_every_documented_error_arrives_with_its_words(kind: Any, status: int, msg: str, data: Any) -> None:
    body = {"error": True, "msg": msg} | ({} if data is None else {"data": data})

    with pytest.raises(KINDS.get(status, ServerError)) as refused:
        await call(kind, Recorder(status, body))

    assert (refused.value.status, refused.value.msg, refused.value.data) == (status, msg, data)
    assert msg in str(refused.value)
    assert KEY not in f"{refused.value!r}{refused.value}{refused.value.__cause__!r}{refused.value.__context__!r}"


@both
async def test_a_gateway_page_is_an_error_too(kind: Any) -> None:
    with pytest.raises(ServerError, match="not JSON"):
        await call(kind, Recorder(502, b"<html>Bad gateway</html>"))


@both
def test_a_client_does_not_show_its_key(kind: Any) -> None:
    client = kind(KEY)

    assert KEY not in repr(client)
    assert KEY not in repr(client.loops)
    assert repr(client) == f"{kind.__name__}(base_url='https://api.hitl.sh/v1', api_key='***')"


@both
@pytest.mark.parametrize(
    ("key", "options", "complaint"),
    [
        ("", {}, "the API key is empty"),
        ("two words", {}, "holds a blank"),
        ("hitl_live_x\n", {}, "holds a blank"),
        ("schlüssel", {}, "holds a blank or a character"),
        (KEY, {"base_url": "http://api.hitl.sh/v1"}, "would send the API key in clear"),
        (KEY, {"base_url": "http://127.0.0.1.example.com"}, "would send the API key in clear"),
        (KEY, {"base_url": "api.hitl.sh/v1"}, "give one like https://api.hitl.sh/v1"),
        (KEY, {"base_url": "ftp://api.hitl.sh"}, "give one like"),
        (KEY, {"base_url": "https://user:pw@api.hitl.sh"}, "holds a user name or password"),
        (KEY, {"base_url": "https://[api.hitl.sh"}, "give one like"),
        (KEY, {"api_prefix": "api"}, "must be empty or begin with a slash"),
    ],
)
def test_a_client_that_could_not_work_is_refused(kind: Any, key: str, options: Any, complaint: str) -> None:
    with pytest.raises(ClientMisconfigured, match=complaint) as refused:
        kind(key, **options)

    assert len(key) < 3 or key not in str(refused.value)


@both
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "hitl.localhost"])
def test_plain_http_is_for_this_machine(kind: Any, host: str) -> None:
    assert kind(KEY, base_url=f"http://{host}:8090/v1/")


def calls_of(group: type[Group[Any]]) -> set[str]:
    return {name for name, member in vars(group).items() if isinstance(member, ApiMethod | ApiListMethod)}


def test_both_clients_have_the_same_surface() -> None:
    clients = Client(KEY), AsyncClient(KEY)
    surfaces = [
        {
            (group, name): inspect.signature(getattr(getattr(client, group), name))
            for group, found in vars(client).items()
            if isinstance(found, Group) and group != "runner"
            for name in calls_of(type(found))
        }
        for client in clients
    ]
    signatures = [inspect.signature(kind.__init__) for kind in (Client, AsyncClient)]

    assert surfaces[0] == surfaces[1]
    assert len(surfaces[0]) > 30
    assert calls_of(ApiGroups) == {"test"}
    assert list(signatures[0].parameters) == list(signatures[1].parameters)
    assert {name for name in vars(Client) if not name.startswith("_")} == {
        name for name in vars(AsyncClient) if not name.startswith("_")
    }


def test_every_call_says_what_it_is_for() -> None:
    client = Client(KEY)

    for found in (client, *(group for group in vars(client).values() if isinstance(group, Group))):
        for name in calls_of(type(found)) | ({"test"} if found is client else set()):
            assert getattr(found, name).__doc__, f"{type(found).__name__}.{name}"


def test_a_body_is_compact_json() -> None:
    recorder = Recorder(201, {"data": {"loop": {"id": "l"}}})

    with Client(KEY, transport=httpx.MockTransport(recorder)) as client:
        client.loops.create("Grüße", "lock")

    assert recorder.got[0].content == '{"name":"Grüße","icon":"lock"}'.encode()
    assert recorder.got[0].headers["content-type"] == "application/json"


def test_an_upload_is_a_form_with_one_file() -> None:
    recorder = Recorder(200, {"error": False, "data": {"url": "https://x.example/f"}})

    with Client(KEY, transport=httpx.MockTransport(recorder)) as client:
        client.uploads.document(b"a,b\n", "some/where/list.csv")

    sent = recorder.got[0].content
    assert recorder.got[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="list.csv"' in sent
    assert b"Content-Type: text/csv" in sent


def test_a_long_wait_gets_a_long_timeout() -> None:
    recorder = Recorder(200, {"data": {"turn": {"id": "t"}}})

    with Client(KEY, transport=httpx.MockTransport(recorder), timeout=5) as client:
        client.sessions.wait_for_turn("s", "t", timeout=300)

    assert recorder.got[0].extensions["timeout"]["read"] == 305
    assert recorder.got[0].url.query == b"timeout=300"


def test_a_list_without_paging_fields_ends() -> None:
    pages = iter([[{"id": "a"}, {"id": "b"}], [{"id": "b"}], []])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps({"data": {"requests": next(pages), "count": 2}}))

    with Client(KEY, transport=httpx.MockTransport(answer)) as client:
        found = [request.id for request in client.requests.list(page_size=2)]

    assert found == ["a", "b"]


def test_a_next_offset_that_stands_still_ends_nothing_and_loops_nowhere() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params["offset"])
        rows = [{"id": str(start)}] if start < 3 else []
        page = {"requests": rows, "has_more": True, "pagination": {"next_offset": 0}}
        return httpx.Response(200, json={"data": page})

    with Client(KEY, transport=httpx.MockTransport(answer)) as client:
        found = [request.id for request in client.requests.list(page_size=1)]

    assert found == ["0", "1", "2"]
