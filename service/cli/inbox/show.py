"""`hitl-receiver show`: one event with its timeline, or one request with its events."""

import json
from collections.abc import Mapping
from datetime import datetime

import click

from hitlsh.events import Event
from service.cli.connection import connect
from service.cli.inbox.event_fields import FLAGS, event_fields, masked, without_personal_data
from service.cli.inbox.selection import find_keys
from service.cli.options import json_option
from service.cli.output import cell, echo, print_json, print_table
from service.cli.reconciliation.request_rows import print_request
from workers.inbox import inbox_clock
from workers.inbox.event_records import AttemptRecord, EffectRecord, EventRecord
from workers.inbox.queries import lookup, search
from workers.inbox.queries.search import split
from workers.inbox.tracker import tracked_listing
from workers.telemetry.error_text import error_summary
from workers.telemetry.escaping import one_line

#: How many lines of a traceback are printed: the last ones.
TRACEBACK_LINES = 12
_ATTEMPT_ENDS = {"retry": "failed, and is repeated", "failed": "failed", "crashed": "crashed with its worker"}
_SETTLED_STATES = {"done", "skipped", "retry", "failed", "held", "discarded"}


@click.command()
@click.argument("key")
@click.option("--body", is_flag=True, help="Include the body as received, and personal data.")
@json_option
def show(key: str, body: bool, json_wanted: bool) -> None:
    """Show an event, or a request and its events.

    With delivery, routing and effects. KEY is an event key, a request id, or 'handler|event key'. For a request,
    its tracked state comes first (as JSON: `requests --json`). Bodies, free text and e-mail addresses are shown
    with --body only.
    """
    with connect() as redis:
        request, now = tracked_listing.entry(redis, key), inbox_clock.now(redis)
        names = search.resolve(redis, key) if request is not None else find_keys(redis, key)
        events = list(lookup.records(redis, [split(name)[1] if "|" in name else name for name in names]))
        due_times = lookup.due_times(
            redis, [f"{effect.handler}|{event.key}" for event in events for effect in _due(event)]
        )
    if json_wanted:
        print_json([event_fields(event, body=body) for event in events])
        return
    if request is not None:
        print_request(request, now)
    for number, event in enumerate(events):
        if number or request is not None:
            echo()
        print_event(event, due_times, body=body)


def print_event(event: EventRecord, due_times: Mapping[str, datetime], *, body: bool) -> None:
    """Print everything about one event, its timeline included. `due_times`: by ``handler|event key``."""
    echo(one_line(event.key), bold=True)
    for label, text in _headings(event, body=body):
        echo(f"  {label:<10} {text}")
    echo()
    for at, text in _timeline(event, due_times):
        echo(f"  {cell(at)[:-1]}.{at.microsecond // 1000:03}Z  {text}")
    if effects := _effects(event):
        echo()
        rows = [(_name(effect), effect.state, effect.attempts, effect.errors, effect.crashes) for effect in effects]
        print_table(("HANDLER", "STATE", "ATTEMPTS", "ERRORS", "CRASHES"), rows, indent="  ")
    for effect in effects:
        if effect.error:
            echo(f"  {_name(effect)}, last error:", prefix="\n")
            for line in effect.error.rstrip().splitlines()[-TRACEBACK_LINES:]:
                echo(f"    {one_line(line)}")
    if body:
        dropped = "(The body was dropped when Redis was full; a replay uses what was parsed from it.)"
        echo(dropped if event.body_dropped else one_line(event.body.decode(errors="replace")), prefix="\n")


def _headings(event: EventRecord, *, body: bool) -> list[tuple[str, str]]:
    flags = [flag for flag in FLAGS if getattr(event, flag)]
    rows = [
        ("state", ", ".join([event.worst_state, *flags])),
        ("trust", event.trust),
        ("deliveries", str(event.deliveries)),
    ]
    if event.callback is not None:
        state = event.callback.state if body else masked(event.callback.state)
        rows.append(("callback", f"its URL carried the state {json.dumps(state, ensure_ascii=False)}"))
    if event.body_dropped:
        rows.append(("body", "dropped when Redis was full; a replay uses what was parsed from it"))
    content = event.content
    if not isinstance(content, Event):
        return [*rows, ("unreadable", content.reason)]
    rows.insert(0, ("event", f"{content.name} ({content.variant})"))
    rows += [("request", content.request_id or "-"), ("loop", content.loop_name or content.loop_id or "-")]
    if content.source == "human":
        response = content.response
        shown = response if body else without_personal_data(event, {"response": response})["response"]
        rows.append(("response", json.dumps(shown, ensure_ascii=False)))
    elif content.outcome:
        rows.append(("outcome", f"{content.outcome}: nobody answered"))
    return [(label, one_line(text)) for label, text in rows]


def _timeline(event: EventRecord, due_times: Mapping[str, datetime]) -> list[tuple[datetime, str]]:
    moments: list[tuple[datetime | None, str]] = [
        (event.received_at, "received"),
        (event.accepted_at, "stored"),
        (event.routed_at, "routed to " + (", ".join(effect.handler for effect in event.effects) or "no handler")),
        (event.replayed_at, f"replay {event.replays} by an operator{_successor(event)}"),
    ]
    for effect in _effects(event):
        moments += _effect_moments(effect)
    for effect in _due(event):
        due_at = due_times.get(f"{effect.handler}|{event.key}")
        moments.append((due_at, f"{_name(effect)}: attempt {effect.attempts + 1} is due"))
    moments.append((event.finished_at, f"finished: {event.state}"))
    return sorted(((at, text) for at, text in moments if at is not None), key=lambda moment: moment[0])


def _effect_moments(effect: EffectRecord) -> list[tuple[datetime | None, str]]:
    name = _name(effect)
    moments: list[tuple[datetime | None, str]] = []
    for attempt in effect.failed_attempts:
        moments += [
            (attempt.began_at, f"{name}: attempt {attempt.number} began"),
            (attempt.ended_at, f"{name}: attempt {attempt.number} {_attempt_end(attempt)}"),
        ]
    last_is_listed = bool(effect.failed_attempts) and effect.failed_attempts[-1].number == effect.attempts
    if not last_is_listed:
        moments.append((effect.started_at, f"{name}: attempt {effect.attempts} began"))
    if not last_is_listed or effect.state == "discarded":
        moments.append((effect.settled_at, f"{name}: {_settled_state(effect)}"))
    return [
        *moments,
        (effect.retried_at, f"{name}: retry {effect.retries} by an operator"),
        (effect.replayed_at, f"{name}: replay {effect.replays} by an operator"),
    ]


def _attempt_end(attempt: AttemptRecord) -> str:
    """How an attempt ended, with its error."""
    error = error_summary(attempt.error)
    end = _ATTEMPT_ENDS[attempt.end] if error or attempt.end != "retry" else "ended, and is repeated"
    return f"{end}; it took {attempt.seconds:.3f} s" + (f": {one_line(error)}" if error else "")


def _settled_state(effect: EffectRecord) -> str:
    """How the last attempt ended. A retried or replayed effect has another state by now, so its end is not known."""
    if effect.state not in _SETTLED_STATES:
        return "an attempt ended"
    took = "" if effect.seconds is None or effect.state == "discarded" else f"; it took {effect.seconds:.3f} s"
    return f"{effect.state}{took}" + (f": {one_line(effect.reason)}" if effect.reason else "")


def _effects(event: EventRecord) -> list[EffectRecord]:
    return [*event.effects, event.routing] if event.routing else list(event.effects)


def _due(event: EventRecord) -> list[EffectRecord]:
    """The effects whose next attempt has a time."""
    return [effect for effect in event.effects if effect.state in {"due", "retry"}]


def _successor(event: EventRecord) -> str:
    return f": now {event.replayed_as}" if event.replayed_as else ""


def _name(effect: EffectRecord) -> str:
    return effect.handler or "(routing)"
