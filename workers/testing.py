"""Decisions for the tests of handlers: ``await pay_out(completed("Approve", state={"order": 7}))``.

The body has the given fields, in the form in which HITL.sh sends it to a callback URL (https://docs.hitl.sh, webhooks).
`claimed` has the form of an account webhook, because HITL.sh sends that event only there.

By default every field of the request is known, as if it was asked through hitl-receiver. With ``as_received_by=`` only
the fields of one delivery are known. A route that matches only one of the two decisions depends on the form.
"""

from typing import Any, get_args

import msgspec

from hitlsh.callbacks import CallbackState
from hitlsh.events import Event, Reviewer, Trust
from hitlsh.request_details import RequestDetails, details_of, merge_details, read_details
from hitlsh.samples import decision_bodies as bodies
from hitlsh.samples.decision_bodies import NOW, ReceivedBy
from hitlsh.webhooks.parsing import event_from_request, parse
from workers.completion import NOTHING_KNOWN, KnownDetails
from workers.decision import ATTRIBUTES, Decision, StoredEvent
from workers.event_names import OUTCOMES, SOURCES
from workers.telemetry.name_suggestions import closest_or_all, did_you_mean

REVIEWER = Reviewer(id="5f0000000000000000000001", name="Robin Example", email="robin@example.com")

#: All fields except those that follow from others.
_SETTABLE = tuple(name for name in ATTRIBUTES if name not in {"missing", "unexpected"})
#: Fields that `as_received_by` determines.
_SET_BY_DELIVERY = ("trust", "variant", "body", "event_key")
_TRUST: dict[ReceivedBy, Trust] = {"callback": "callback", "account webhook": "signed", "poll": "confirmed"}
_REQUEST = "6a0000000000000000000001"
_LOOP = "7b0000000000000000000001"
_STATUSES = {**OUTCOMES, "request.created": "pending", "request.claimed": "claimed"}


def decision(*, as_received_by: ReceivedBy | None = None, **changes: Any) -> Decision:
    """A person's "Approve". `changes` set fields of `Decision`; fields that depend on them change too.

    ``as_received_by``: how the decision arrives: ``"callback"`` (posted to the callback URL), ``"account webhook"`` or
    ``"poll"`` (a row of the API's list). The real parser reads it, and nothing else is known of its request.

    Raises TypeError for a name that is no field, for one that `as_received_by` determines, and for an event that does
    not come that way.
    """
    for name in changes:
        if name not in _SETTABLE:
            raise TypeError(f"decision({name}=...): a Decision has no {name!r}: {closest_or_all(name, _SETTABLE)}")
    if as_received_by is not None:
        return _as_received(as_received_by, changes)
    fields = _coherent(changes)
    fields = {"body": _body(fields), **fields}
    attempt = fields.pop("attempt", 1)
    event = Event(
        name=fields["event"],
        key=fields["event_key"],
        **{name: value for name, value in fields.items() if name in Event.__struct_fields__},
    )
    of_record = {name: value for name, value in fields.items() if name in StoredEvent.__struct_fields__}
    known = KnownDetails(asked=_asked(fields), callback=CallbackState(state=fields.get("state")))
    return Decision.from_stored(StoredEvent(**{**of_record, "event": event, "known_details": known}), attempt=attempt)


def _asked(fields: dict[str, Any]) -> RequestDetails:
    names = [name for name in ("response_type", "loop_id", "loop_name", "default_response") if name in fields]
    details = RequestDetails(**{name: fields[name] for name in names}, context=fields.get("metadata"))
    question = fields.get("question")
    return details if question is None else merge_details([question, details])


def completed(response: Any = "Approve", **changes: Any) -> Decision:
    """A person answered; see `decision` for `changes` and ``as_received_by``."""
    return decision(**{"event": "request.completed", "response": response, **changes})


def timed_out(default_response: Any = None, **changes: Any) -> Decision:
    """Nobody answered in time; HITL.sh would have assumed `default_response`."""
    return decision(**{"event": "request.timeout", "default_response": default_response, **changes})


def cancelled(**changes: Any) -> Decision:
    """The request was withdrawn."""
    return decision(**{"event": "request.cancelled", **changes})


def claimed(**changes: Any) -> Decision:
    """A person took the request up, and has not answered yet."""
    return decision(**{"event": "request.claimed", **changes})


def _coherent(changes: dict[str, Any]) -> dict[str, Any]:
    """All fields: the given ones, and others that are consistent with them."""
    event = changes.get("event") or f"request.{changes.get('outcome') or 'completed'}"
    answered = event == "request.completed"
    if changes.get("overrules"):
        changes = {"trust": "confirmed", **changes}
    claims = event == "request.claimed"
    occurred_at = changes.get("occurred_at", NOW)
    about_request = event.startswith("request.")
    request_id = changes.get("request_id", _REQUEST if about_request else None)
    response = changes.get("response", "Approve" if answered else None)
    fields = {
        "event": event,
        "event_key": f"{event}:{request_id or 'example'}" + (f":{occurred_at:%Y-%m-%dT%H:%M:%SZ}" if claims else ""),
        "variant": "nested" if claims else "callback-v2",
        "trust": "signed" if claims else "callback",
        "received_at": NOW,
        "request_id": request_id,
        "loop_id": _LOOP if about_request else None,
        "status": _STATUSES.get(event),
        "outcome": OUTCOMES.get(event),
        "source": SOURCES.get(event),
        "response": response,
        "response_type": _response_type(response),
        "reviewer": REVIEWER if answered or claims else None,
        "occurred_at": occurred_at,
        **changes,
    }
    return {**fields, "labels": tuple(fields.get("labels", ()))}


def _response_type(response: Any) -> str | None:
    if isinstance(response, bool):
        return "boolean"
    types = {str: "single_select", list: "multi_select", int: "number", float: "number"}
    return next((name for kind, name in types.items() if isinstance(response, kind)), None)


def _body(fields: dict[str, Any]) -> bytes:
    is_nested = fields["variant"] == "nested"
    return msgspec.json.encode(bodies.simple_account_webhook(fields) if is_nested else bodies.callback(fields))


# -- as one delivery arrives ---------------------------------------------------------------------------------------


def _as_received(way: ReceivedBy, changes: dict[str, Any]) -> Decision:
    if way not in get_args(ReceivedBy):
        ways = ", ".join(map(repr, get_args(ReceivedBy)))
        raise TypeError(f"as_received_by={way!r}: a decision comes by one of {ways}{did_you_mean(way, _TRUST)}")
    for name in _SET_BY_DELIVERY:
        if name in changes:
            raise TypeError(f"{name}=...: as_received_by={way!r} determines it; leave one of the two out")
    fields = _coherent(changes)
    if fields["outcome"] is None and not (way == "account webhook" and fields["event"] == "request.claimed"):
        raise TypeError(
            f"as_received_by={way!r}: HITL.sh does not report {fields['event']} in this way; leave as_received_by out"
        )
    event, body, known = _delivered(way, fields)
    flags = {name: fields[name] for name in ("late", "conflict", "overrules") if name in fields}
    stored = StoredEvent(
        event=event,
        body=body,
        trust=_TRUST[way],
        received_at=fields["received_at"],
        callback=CallbackState(state=fields.get("state")) if way == "callback" else None,
        known_details=known,
        **flags,
    )
    return Decision.from_stored(stored, attempt=fields.get("attempt", 1))


def _delivered(way: ReceivedBy, fields: dict[str, Any]) -> tuple[Event, bytes, KnownDetails]:
    """The event, its body, and the details of the request that the body contains."""
    if way == "poll":
        body = msgspec.json.encode(bodies.list_row(fields))
        row = msgspec.json.decode(body)
        event = event_from_request(row)
        known = KnownDetails(listing=read_details(row))
    else:
        body = msgspec.json.encode(bodies.callback(fields) if way == "callback" else bodies.account_webhook(fields))
        parsed = parse(body)
        event = parsed if isinstance(parsed, Event) else None
        known = KnownDetails(event=details_of(event)) if event and way == "account webhook" else NOTHING_KNOWN
    if event is None:
        raise TypeError(f"as_received_by={way!r}: HITL.sh sends no such decision; see the fields that are changed")
    return event, body, known
