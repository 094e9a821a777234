"""`hitl-receiver stats`: how many decisions there were, and how fast they reached their handlers."""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from service.cli.connection import connect
from service.cli.durations import counted, elapsed
from service.cli.inbox.filter_values import check_values
from service.cli.inbox.selection import filter_options
from service.cli.options import json_option
from service.cli.output import cell, echo, print_json, print_table
from service.cli.reports.decision_scan import DecidedEvent, scan_decisions
from workers.inbox.event_records import OPEN_STATES, EffectRecord
from workers.inbox.queries.search import Filter

_OUTCOMES = ("completed", "timeout", "cancelled")
_ENDS = ("done", "skipped", "failed")
#: What the state of an effect counts as. Dropped: discarded by an operator, or superseded by stronger evidence.
_COUNTED = (*_ENDS, "dropped", "open")
#: The name under which decisions without an effect are counted.
_NO_HANDLER = "(none)"
#: The default window.
_WINDOW = timedelta(days=1)


class HandlerFigures:
    """Counts of the decisions of one handler, and the seconds from each answer to its handler."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.delays = array("d")

    def add(self, decided: DecidedEvent, effect: EffectRecord | None) -> None:
        assert decided.content.outcome is not None
        self.outcomes[decided.content.outcome] += 1
        if effect is None:
            return
        self.ends[_counted_as(effect.state)] += 1
        if effect.started_at is not None and not effect.retries and not effect.replays:
            answered_at = decided.content.occurred_at or decided.event.received_at
            self.delays.append(max(0.0, (effect.started_at - answered_at).total_seconds()))

    def fields(self) -> dict[str, Any]:
        delays = sorted(self.delays)
        return {
            **{outcome: self.outcomes[outcome] for outcome in _OUTCOMES},
            **{end: self.ends[end] for end in _COUNTED},
            "median_seconds": percentile(delays, 0.5),
            "p95_seconds": percentile(delays, 0.95),
        }


@click.command()
@filter_options("event", "loop", "handler", "since", "until")
@json_option
def stats(json_wanted: bool, **filters: Any) -> None:
    """Count decisions by handler and outcome, with the time to their handlers.

    MEDIAN and P95 are of the time from the answer at HITL.sh to the start of the handler's last attempt, without
    effects that a person had run again. An outcome that is not the decision of its request is not counted. Without
    --since, the decisions of the last 24 hours are counted. Reads REDIS_URL, or the `dev` stack in this folder.

    \b
    hitl-receiver stats --since 7d --handler pay_out
    """
    conditions = Filter(**filters | {"since": filters["since"] or datetime.now(UTC) - _WINDOW})
    with connect() as redis:
        figures: defaultdict[str, HandlerFigures] = defaultdict(HandlerFigures)
        total: Counter[str] = Counter()
        for decided in scan_decisions(redis, conditions, label="Stats"):
            if not decided.is_decision:
                continue
            total[decided.content.outcome or ""] += 1
            for effect in decided.event.effects or (None,):
                if effect is None or conditions.handler in (None, effect.handler):
                    figures[effect.handler if effect else _NO_HANDLER].add(decided, effect)
        if not total:
            check_values(redis, conditions)
    rows = {handler: figures[handler].fields() for handler in sorted(figures)}
    if json_wanted:
        decisions = {outcome: total[outcome] for outcome in _OUTCOMES}
        print_json({"since": conditions.since, "until": conditions.until, "decisions": decisions, "handlers": rows})
    elif rows:
        _print(conditions, total, rows)
    else:
        echo("No matching decisions.", err=True)


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The value that this share of the values does not exceed (nearest rank); None without values."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else None


def _counted_as(state: str) -> str:
    if state in _ENDS:
        return state
    return "open" if state in OPEN_STATES else "dropped"


def _print(conditions: Filter, total: Counter[str], rows: Mapping[str, dict[str, Any]]) -> None:
    counts = ", ".join(f"{total[outcome]:,} {outcome}" for outcome in _OUTCOMES)
    echo(f"{counted(total.total(), 'decision')} since {cell(conditions.since)}: {counts}.")
    echo()
    heads = [*_OUTCOMES, *_COUNTED]
    names = [head.upper() for head in heads]
    print_table(
        ("HANDLER", *names, "MEDIAN", "P95"),
        [
            (handler, *(f"{row[head]:,}" for head in heads), _time(row["median_seconds"]), _time(row["p95_seconds"]))
            for handler, row in rows.items()
        ],
        right={*names, "MEDIAN", "P95"},
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else elapsed(seconds)
