"""One sample delivery of every documented payload form, with new ids: to send one twice is no duplicate.

The values are invented; the shapes are those of https://docs.hitl.sh.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from hitlsh.errors import HitlshError
from hitlsh.samples import other_events as events
from hitlsh.samples import request_events as requests
from hitlsh.samples.context import Json, SampleContext, create_context, fresh_id

Endpoint = Literal["signed", "callback"]
Body = Callable[[SampleContext], Json]
#: Name, summary, whether a person answers in it, and the function that builds its body.
Row = tuple[str, str, bool, Body]


class SampleInvalid(HitlshError, ValueError):
    """There is no sample of that name, or it holds no response."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that `sample` can build."""

    name: str
    #: The endpoint that receives it: ``signed`` for account webhooks, ``callback`` for a callback URL.
    endpoint: Endpoint
    summary: str
    #: Whether a person answers in it.
    answered: bool


def sample(
    name: str,
    *,
    request_id: str | None = None,
    now: datetime | None = None,
    response: Any = msgspec.UNSET,
) -> bytes:
    """Return the body of one delivery as JSON.

    ``request_id``: a new one by default. ``now``: aware; the current time by default. ``response``: replaces the
    reviewer's answer, in any form. Raises SampleInvalid for an unknown name, and for a response where nobody answers.
    """
    if name not in SAMPLES:
        raise SampleInvalid(f"there is no sample {name!r}; choose one of {', '.join(SAMPLES)}")
    if response is not msgspec.UNSET and not SAMPLES[name].answered:
        raise SampleInvalid(f"nobody answers in the sample {name!r}; leave the response out")
    context = create_context(request_id or fresh_id(), now or datetime.now(UTC), response)
    return msgspec.json.encode(_TABLE[name][1](context))


def _table(endpoint: Endpoint, rows: tuple[Row, ...]) -> dict[str, tuple[Sample, Body]]:
    return {
        name: (Sample(name=name, endpoint=endpoint, summary=summary, answered=answered), body)
        for name, summary, answered, body in rows
    }


_CALLBACK: tuple[Row, ...] = (
    (
        "callback-v2.completed",
        "a person chose an option",
        True,
        requests.answered_callback({"selected_value": "Approve"}),
    ),
    (
        "callback-v2.multi_select",
        "a person chose several options",
        True,
        requests.answered_callback({"selected_values": ["damaged", "late"], "selected_labels": ["Damaged", "Late"]}),
    ),
    (
        "callback-v2.rating",
        "a person rated",
        True,
        requests.answered_callback({"rating": 4, "rating_label": "Good"}),
    ),
    (
        "callback-v2.number",
        "a person gave a number",
        True,
        requests.answered_callback({"number": 37.5, "formatted_value": "$37.50"}),
    ),
    (
        "callback-v2.boolean",
        "a person answered no",
        True,
        requests.answered_callback({"boolean": False, "boolean_label": "No"}),
    ),
    (
        "callback-v2.text",
        "a person wrote an answer",
        True,
        requests.answered_callback("Refund the postage only."),
    ),
    (
        "callback-v2.editable_text",
        "a person revised a draft",
        True,
        requests.answered_callback({"revised_text": "We are sorry.", "was_edited": True}),
    ),
    (
        "callback-v2.timeout",
        "nobody answered in time",
        False,
        lambda context: requests.callback(context, "timeout"),
    ),
    (
        "callback-v2.cancelled",
        "the request was cancelled",
        False,
        lambda context: requests.callback(context, "cancelled"),
    ),
    ("intro-flat.completed", "the API introduction's form", True, requests.intro_flat),
    ("make-flat.completed", "the form that the Make page documents", True, requests.make_flat),
    ("make-workflow.completed", "a workflow execution completed", True, events.make_workflow),
    ("handoff.completed", "the form of the self-hosted server", True, requests.handoff),
    ("n8n-resume.completed", "the form that the first n8n node reads", True, requests.n8n_resume),
)
_SIGNED: tuple[Row, ...] = (
    ("nested.completed", "a person answered (account webhook)", True, requests.nested_completed),
    ("nested.claimed", "a reviewer claimed the request", False, requests.nested_claimed),
    ("nested.timeout", "nobody answered in time, with the default", False, requests.nested_timeout),
    ("nested.cancelled", "the request was cancelled", False, requests.nested_cancelled),
    ("nested.member_joined", "a reviewer joined the loop", False, events.member_joined),
    ("data-flat.completed", "the form that the handler samples read", True, requests.data_flat),
    ("global.completed", "a person decided (global webhook)", True, requests.global_completed),
    ("global.created", "a request was created", False, requests.global_created),
    ("global.loop_archived", "a loop was archived", False, events.loop_archived),
    ("global.user_joined", "a user joined", False, events.user_joined),
    ("global.system_error", "HITL.sh reports an error", False, events.system_error),
    ("n8n-doc.completed", "the form of the first n8n page", True, requests.n8n_doc),
    ("turn.resolved", "a person decided a turn of an agent", True, events.turn_resolved),
    ("legacy-r0.completed", "the withdrawn first API", True, events.legacy),
)
_TABLE = _table("callback", _CALLBACK) | _table("signed", _SIGNED)
#: Every sample by its name; the current form comes first.
SAMPLES: Mapping[str, Sample] = MappingProxyType({name: row[0] for name, row in _TABLE.items()})
