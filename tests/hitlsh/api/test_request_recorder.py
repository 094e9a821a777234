"""A recorder is told of each request that exists, and nothing that fails with it hides the request."""

import asyncio
import logging
from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import BadRequest, RateLimit, SentRequest, ServerError, UnexpectedReply, single_select
from hitlsh.api.models.requests import CreatedRequest
from tests.hitlsh.api.conftest import Opener

PICK = single_select("Approve", "Reject")
CALLBACK = "https://hooks.example.com/callbacks/a.b.c"


class Book:
    """A recorder in a list."""

    def __init__(self) -> None:
        self.entries: list[tuple[CreatedRequest, SentRequest]] = []

    def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        self.entries.append((created, sent))


class AwaitedBook(Book):
    async def record(self, created: CreatedRequest, sent: SentRequest) -> None:  # type: ignore[override]  # the other protocol
        await asyncio.sleep(0)
        super().record(created, sent)


class LostBook:
    def record(self, created: CreatedRequest, sent: SentRequest) -> None:
        raise OSError("cannot reach redis://:the-password@10.0.0.1")


class DeafBudget:
    """Has calls, and fails to hear how many HITL.sh has left."""

    def spend(self) -> float:
        return 0.0

    def observe(self, rate_limit: RateLimit) -> None:
        raise OSError("gone")


async def ask(api: Any, loop_id: str, **options: Any) -> CreatedRequest:
    usual = {"default_response": "reject", "timeout_seconds": 600, "callback_url": CALLBACK}
    found: CreatedRequest = await api.requests.create(loop_id, "Refund order 17?", PICK, **usual | options)
    return found


async def test_the_recorder_is_told_what_was_made_and_what_was_sent(opened: Opener, loop_id: str) -> None:
    book = Book()

    created = await ask(opened(recorder=book), loop_id)

    [(kept, sent)] = book.entries
    assert kept == created
    assert (sent.loop_id, sent.callback_url, sent.timeout_seconds) == (loop_id, CALLBACK, 600)
    assert sent.details is not None
    assert (sent.details.text, sent.details.loop_id) == ("Refund order 17?", loop_id)
    assert (sent.details.response_type, sent.details.default_response) == ("single_select", "Reject")
    assert [option.value for option in sent.details.options] == ["Approve", "Reject"]


@pytest.mark.parametrize("opened", ["AsyncClient"], indirect=True)
async def test_a_recorder_may_take_a_round_trip(opened: Opener, loop_id: str) -> None:
    book = AwaitedBook()

    created = await ask(opened(recorder=book), loop_id)

    assert [kept.request_id for kept, _ in book.entries] == [created.request_id]


async def test_the_request_behind_a_turn_is_told_too(opened: Opener, loop_id: str) -> None:
    book = Book()
    api = opened(recorder=book)
    session = await api.sessions.create(loop_id=loop_id)

    turn = await api.sessions.create_turn(session.id, "git_push")

    assert [(kept.request_id, kept.created_at, sent) for kept, sent in book.entries] == [
        (turn.request_id, turn.created_at, SentRequest())
    ]


@pytest.mark.parametrize("question", [{"default_response": "Perhaps"}, {"timeout_seconds": 5}])
async def test_what_was_never_sent_is_not_told(opened: Opener, loop_id: str, question: Any) -> None:
    book = Book()

    with pytest.raises(ValueError, match=r"default_response|timeout_seconds"):
        await ask(opened(recorder=book), loop_id, **question)

    assert book.entries == []


async def test_what_was_refused_is_not_told(opened: Opener, loop_id: str, sandbox: Sandbox) -> None:
    book = Book()
    sandbox.fault("error", status=400, match={"method": "POST"})

    with pytest.raises(BadRequest):
        await ask(opened(recorder=book), loop_id)

    assert book.entries == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"kind": "error", "status": 502, "stage": "after"}, ServerError), ({"kind": "truncated_json"}, UnexpectedReply)],
)
async def test_a_reply_without_an_id_leaves_nothing_to_tell(
    opened: Opener, loop_id: str, sandbox: Sandbox, fault: Any, error: Any
) -> None:
    book = Book()
    sandbox.fault(match={"method": "POST"}, **fault)

    with pytest.raises(error):
        await ask(opened(recorder=book), loop_id)

    assert book.entries == []


async def test_a_recorder_that_fails_does_not_hide_the_request(
    opened: Opener, loop_id: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hitl.api")

    created = await ask(opened(recorder=LostBook()), loop_id)

    assert [request["id"] for request in sandbox.state()["requests"]] == [created.request_id]
    assert caplog.messages == [f"recorder.failed subject={created.request_id} error=OSError"]
    assert "the-password" not in caplog.text


async def test_a_budget_that_does_not_hear_hides_no_request_either(opened: Opener, loop_id: str) -> None:
    book = Book()

    created = await ask(opened(recorder=book, budget=DeafBudget()), loop_id)

    assert [kept.request_id for kept, _ in book.entries] == [created.request_id]


async def test_a_read_says_that_its_budget_does_not_hear(opened: Opener) -> None:
    with pytest.raises(OSError, match="gone"):
        await opened(budget=DeafBudget()).loops.list()
