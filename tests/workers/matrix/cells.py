"""One question, asked in every way, delivered in every order by every channel: the cells of the matrix."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import httpx

from hitl_sandbox.testing import Sandbox
from hitlsh import signatures
from hitlsh.api import (
    Client,
    Option,
    Question,
    boolean,
    editable_text,
    multi_select,
    number,
    rating,
    single_select,
    text,
)
from hitlsh.api.models.requests import RequestSummary
from hitlsh.callbacks import CallbackSigner
from hitlsh.webhooks import receive, receive_callback
from hitlsh.webhooks.receiving import VerifiedDelivery
from workers.asking import RedisRequestRecorder

Channel = Literal["callback URL", "account webhook", "poll"]
CHANNELS: tuple[Channel, ...] = ("callback URL", "account webhook", "poll")
ORIGINS = ("through hitl-receiver", "elsewhere, with our callback URL", "elsewhere, without one", "by a workflow")

KEY = "hitl_test_0123456789abcdef0123456789abcdef"
CALLBACK_KEY = "a-callback-key-of-these-tests-01"
SECRET = "whsec_a_secret_of_these_tests_01"
STATE = {"order": 7}
CONTEXT = {"tier": "gold"}
TEXT = "Pay 120 EUR?"
#: Nobody listens there: the bodies are taken from the sandbox's list of deliveries.
NOWHERE = "http://127.0.0.1:9"
MINUTE, DAY = 60, 86_400

_SIGNER = CallbackSigner((CALLBACK_KEY,))
_OPTIONS = (Option(value="v1", label="Quite another word"), Option(value="v2", label="Second"))


class Case(NamedTuple):
    """A question, how it ends, and what a decision says of that."""

    question: Question
    default: Any
    #: What the reviewer answers; None where nobody does.
    answer: Any
    #: `decision.response` and `decision.default_response`.
    response: Any
    default_response: Any
    outcome: Literal["completed", "timeout", "cancelled"] = "completed"


CASES = {
    "text": Case(text(), "Hold", "Pay it", "Pay it", "Hold"),
    "editable_text": Case(editable_text("Dear Ada"), "Dear Ada", "Dear Bo", "Dear Bo", "Dear Ada"),
    "single_select of strings": Case(
        single_select("Approve it", "Reject it"), "Reject it", "Approve it", "Approve it", "Reject it"
    ),
    "single_select of options": Case(single_select(*_OPTIONS), "Second", "v1", "v1", "v2"),
    "multi_select": Case(multi_select(*_OPTIONS), ["Second"], ["v1", "v2"], ["v1", "v2"], ["v2"]),
    "rating": Case(rating(labels={4: "Good"}), 1, 4, 4, 1),
    "number": Case(number(0, 100), 0, 12.5, 12.5, 0),
    "boolean": Case(boolean("Pay", "Hold"), False, True, True, False),
    "timeout": Case(single_select(*_OPTIONS), "Second", None, None, "v2", "timeout"),
    "cancelled": Case(single_select(*_OPTIONS), "Second", None, None, "v2", "cancelled"),
}
#: A workflow asks for an approval; nothing else of its question can be chosen.
WORKFLOW_CASES = {
    "single_select of strings": Case(single_select("approve", "reject"), None, "approve", "approve", "reject"),
    "timeout": Case(single_select("approve", "reject"), None, None, None, "reject", "timeout"),
    "cancelled": Case(single_select("approve", "reject"), None, None, None, "reject", "cancelled"),
}


class Cell(NamedTuple):
    """One request of the matrix."""

    origin: str
    case: str
    order: tuple[Channel, ...]

    @property
    def expected(self) -> Case:
        return (WORKFLOW_CASES if self.origin == "by a workflow" else CASES)[self.case]

    @property
    def loop(self) -> str:
        """The name of its loop, which no cell of another order shares: a delivery tells the name for all its requests.

        A workflow has the loop of its own name.
        """
        return f"Desk {'-'.join(channel[0] for channel in self.order)}"

    @property
    def has_callback(self) -> bool:
        """Its outcome comes by our callback URL too. A workflow posts an execution there, which ends no request."""
        return self.origin in ORIGINS[:2]

    def __str__(self) -> str:
        return f"{self.case}, asked {self.origin}: {', then '.join(self.order)}"


def cells() -> Iterator[Cell]:
    """Every cell, for the channels that there are."""
    for origin in ORIGINS:
        channels = CHANNELS if origin in ORIGINS[:2] else CHANNELS[1:]
        orders = [order for count in (1, 2, 3) for order in itertools.permutations(channels, count)]
        for case in WORKFLOW_CASES if origin == "by a workflow" else CASES:
            yield from (Cell(origin, case, order) for order in orders)


class AskedCell(NamedTuple):
    """A request that has ended, with what each channel delivers of that."""

    cell: Cell
    request_id: str
    delivered: dict[Channel, VerifiedDelivery]
    row: RequestSummary


def ask_all(sandbox: Sandbox, recorder: RedisRequestRecorder) -> tuple[dict[str, str], list[AskedCell]]:
    """Ask every cell's question and let it end; returns the loops by name, and what was asked."""
    sandbox.add_webhook(f"{NOWHERE}/webhooks/hitl", SECRET)
    with (
        Client(KEY, base_url=sandbox.base_url) as client,
        Client(KEY, base_url=sandbox.base_url, recorder=recorder) as ours,
        httpx.Client(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {KEY}"}) as curl,
    ):
        names = sorted({cell.loop for cell in cells()})
        loops = {name: client.loops.create(name, icon="key").loop.id for name in names}
        for loop in loops.values():
            sandbox.add_member(loop, "ann@example.com", name="Ann")
        tokens = {cell: _SIGNER.mint(STATE) for cell in cells()}
        asked = {_ask(cell, tokens[cell], loops[cell.loop], client, ours, curl): cell for cell in tokens}
        for request_id, cell in asked.items():
            _end(sandbox, client, request_id, cell.expected)
        sandbox.advance(2 * MINUTE)
        rows = {row.id: row for row in client.requests.list()}
    posted: dict[tuple[str | None, str], bytes] = {
        (one["request_id"], one["channel"]): one["body"].encode() for one in sandbox.deliveries()
    }
    return loops, [
        AskedCell(cell, request_id, dict(_delivered(cell, request_id, tokens[cell], posted)), rows[request_id])
        for request_id, cell in asked.items()
    ]


def _ask(cell: Cell, token: str, loop: str, client: Client, ours: Client, curl: httpx.Client) -> str:
    if cell.origin == "by a workflow":
        body = {"timeout_seconds": MINUTE if cell.expected.outcome == "timeout" else DAY}
        reply = curl.post(f"/workflows/{cell.loop}/trigger", json=body)
        return str(reply.raise_for_status().json()["data"]["request_id"])
    case = cell.expected
    created = (ours if cell.origin == "through hitl-receiver" else client).requests.create(
        loop,
        TEXT,
        case.question,
        default_response=case.default,
        timeout_seconds=MINUTE if case.outcome == "timeout" else DAY,
        context=CONTEXT,
        callback_url=_SIGNER.url(NOWHERE, token) if cell.has_callback else None,
    )
    return created.request_id


def _end(sandbox: Sandbox, client: Client, request_id: str, case: Case) -> None:
    if case.outcome == "completed":
        sandbox.answer(request_id, case.answer)
    elif case.outcome == "cancelled":
        client.requests.cancel(request_id)


def _delivered(
    cell: Cell, request_id: str, token: str, posted: dict[tuple[str | None, str], bytes]
) -> Iterator[tuple[Channel, VerifiedDelivery]]:
    signed = posted[request_id, "account"]
    yield "account webhook", receive(signatures.headers(SECRET, signed), signed, secrets=(SECRET,))
    if cell.has_callback:
        yield "callback URL", receive_callback(token, posted[request_id, "callback"], signer=_SIGNER)
