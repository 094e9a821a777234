"""The inbox for a terminal or a program: no body, no e-mail address and no free text unless asked for."""

import json
from datetime import datetime
from typing import Any

import msgspec

from hitlsh.events import Event
from service.cli.api.tables import cell
from service.cli.output import echo, print_table
from service.escaping import one_line
from workers.inbox.event_records import AttemptRecord, EffectRecord, EventRecord, EventSummary
from workers.inbox.queries.search import Failure

#: Of a traceback, the lines at its end that `show` prints.
TRACEBACK_LINES = 12
#: Answers of these types are what somebody wrote; the others are one of few, or a number.
_FREE = {"text", "editable_text", None}
_ENDS = {"done", "skipped", "retry", "failed", "held", "discarded"}

#: What an event may be beside its state.
FLAGS = ("late", "conflict", "overrules")


def event_row(event: EventSummary) -> tuple[str, ...]:
    """ACCEPTED, STATE, EFFECTS and KEY."""
    flags = "".join(f" {flag}" for flag in FLAGS if getattr(event, flag))
    effects = ", ".join(f"{effect.handler} {effect.state}" for effect in event.effects)
    return cell(event.accepted_at), event.state + flags, effects or "-", one_line(event.key)


def failure_row(failure: Failure) -> tuple[str, ...]:
    """FAILED, HANDLER, ATTEMPTS, REASON and KEY."""
    effect = failure.effect
    reason = (effect.error or "").strip().splitlines()
    handler = effect.handler or "(routing)"
    return (
        cell(failure.failed_at),
        handler,
        str(effect.attempts),
        cell(reason[-1] if reason else None),
        one_line(failure.event.key),
    )


def event_fields(event: EventSummary, *, body: bool = False) -> dict[str, Any]:
    """One event for a program; with `body` also all that it says of people."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("body", "callback"):
        fields.pop(name, None)
    fields["effects"] = [effect_fields(effect) for effect in event.effects]
    if body and isinstance(event, EventRecord):
        fields["callback_state"] = event.callback.state if event.callback else None
        fields["body"] = event.body.decode(errors="replace")
    else:
        fields["content"] = _discreet(event, fields["content"])
    return fields


def effect_fields(effect: EffectRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(effect), "seconds": effect.seconds}


def failure_fields(failure: Failure) -> dict[str, Any]:
    """One failure for a program; `key` is what `retry` and `discard` take."""
    return {
        "key": failure.member,
        "failed_at": failure.failed_at.isoformat(),
        **effect_fields(failure.effect),
        "event": event_fields(failure.event),
    }


def print_event(event: EventRecord, *, body: bool) -> None:
    """Everything about one event, its timeline included."""
    echo(one_line(event.key), bold=True)
    for label, text in _headings(event, body=body):
        echo(f"  {label:<10} {text}")
    echo()
    for at, what in _timeline(event):
        echo(f"  {cell(at)[:-1]}.{at.microsecond // 1000:03}Z  {what}")
    if effects := _effects(event):
        echo()
        rows = [(_name(one), one.state, *map(str, (one.attempts, one.errors, one.crashes))) for one in effects]
        print_table(
            ("  HANDLER", "STATE", "ATTEMPTS", "ERRORS", "CRASHES"), [(f"  {row[0]}", *row[1:]) for row in rows]
        )
    for effect in effects:
        if effect.error:
            echo(f"  {_name(effect)}, last error:", prefix="\n")
            for line in effect.error.rstrip().splitlines()[-TRACEBACK_LINES:]:
                echo(f"    {one_line(line)}")
    if body:
        dropped = "(The body was dropped when Redis was full; a replay uses what was read from it.)"
        echo(dropped if event.body_dropped else one_line(event.body.decode(errors="replace")), prefix="\n")


def _headings(event: EventRecord, *, body: bool) -> list[tuple[str, str]]:
    flags = [flag for flag in FLAGS if getattr(event, flag)]
    rows = [("state", ", ".join([event.state, *flags])), ("trust", event.trust), ("deliveries", str(event.deliveries))]
    if event.body_dropped:
        rows.append(("body", "dropped when Redis was full; a replay uses what was read from it"))
    content = event.content
    if not isinstance(content, Event):
        return [*rows, ("unreadable", content.reason)]
    rows.insert(0, ("event", f"{content.name} ({content.variant})"))
    rows += [("request", content.request_id or "-"), ("loop", content.loop_name or content.loop_id or "-")]
    if content.source == "human":
        answer = content.response if body else _discreet(event, {"response": content.response})["response"]
        rows.append(("response", json.dumps(answer, ensure_ascii=False)))
    elif content.outcome:
        rows.append(("outcome", f"{content.outcome}: nobody answered"))
    return [(label, one_line(text)) for label, text in rows]


def _timeline(event: EventRecord) -> list[tuple[datetime, str]]:
    moments: list[tuple[datetime | None, str]] = [
        (event.received_at, "received"),
        (event.accepted_at, "kept"),
        (event.routed_at, "routed to " + (", ".join(effect.handler for effect in event.effects) or "nobody")),
        (event.replayed_at, f"replayed by a person, time {event.replays}" + _as(event)),
        (event.finished_at, f"finished: {event.state}"),
    ]
    for effect in _effects(event):
        name = _name(effect)
        for attempt in effect.tries:
            moments += [
                (attempt.began_at, f"{name}: attempt {attempt.number} began"),
                (attempt.ended_at, f"{name}: attempt {attempt.number} {_how(attempt)}"),
            ]
        told = bool(effect.tries) and effect.tries[-1].number == effect.attempts
        if not told:
            moments.append((effect.started_at, f"{name}: attempt {effect.attempts} began"))
        if not told or effect.state == "discarded":
            moments.append((effect.settled_at, f"{name}: {_end(effect)}"))
        moments += [
            (effect.retried_at, f"{name}: retried by a person, time {effect.retries}"),
            (effect.replayed_at, f"{name}: replayed by a person, time {effect.replays}"),
        ]
    return sorted(((at, what) for at, what in moments if at is not None), key=lambda moment: moment[0])


def _how(attempt: AttemptRecord) -> str:
    """How an attempt ended, and the last line of why."""
    words = {"retry": "is to be repeated", "failed": "failed", "crashed": "died with its worker"}[attempt.end]
    *_, why = attempt.error.rstrip().splitlines() or [""]
    return f"{words} after {attempt.seconds:.3f} s" + (f": {one_line(why)}" if why else "")


def _end(effect: EffectRecord) -> str:
    """How the last attempt ended, as far as the record still tells: what was begun anew has another state by now."""
    if effect.state not in _ENDS:
        return "an attempt ended"
    took = "" if effect.seconds is None or effect.state == "discarded" else f" after {effect.seconds:.3f} s"
    return f"{effect.state}{took}" + (f": {one_line(effect.reason)}" if effect.reason else "")


def _effects(event: EventRecord) -> list[EffectRecord]:
    return [*event.effects, event.routing] if event.routing else list(event.effects)


def _as(event: EventRecord) -> str:
    return f": it is {event.replayed_as}" if event.replayed_as else ""


def _name(effect: EffectRecord) -> str:
    return effect.handler or "(routing)"


def _discreet(event: EventSummary, content: dict[str, Any]) -> dict[str, Any]:
    """What the event says, without what somebody wrote and how they are reached."""
    kept = {name: value for name, value in content.items() if name not in {"metadata", "default_response"}}
    kind = event.content.response_type if isinstance(event.content, Event) else None
    if isinstance(kept.get("response"), str) and kind in _FREE:
        kept["response"] = f"({len(kept['response'])} characters, shown with --body)"
    if reviewer := kept.get("reviewer"):
        kept["reviewer"] = {name: value for name, value in reviewer.items() if name == "id" and "@" not in str(value)}
    return kept
