"""The history of the webhooks for a terminal: a row and a bar for each hour."""

from collections.abc import Sequence

from service.cli.output import echo
from workers.inbox.webhook_health import Hour
from workers.reconcile.status import total

_BAR = 40
_BY_WEBHOOK, _LATE, _LOST = "█", "▒", "░"


def print_hours(hours: Sequence[Hour]) -> None:
    """The oldest first, and all of them together below."""
    most = max(hour.webhook + hour.reconcile for hour in hours)
    echo(f"{'HOUR':<16}  {'WEBHOOK':>8}  {'RECONCILED':>10}  {'OVERTAKEN':>9}  {'LOST':>6}")
    for hour in hours:
        echo(f"{_row(f'{hour.begins_at:%Y-%m-%d %H:%M}', hour)}  {_bar(hour, most)}".rstrip())
    legend = f"{_BY_WEBHOOK} by webhook  {_LATE} overtaken  {_LOST} lost" if most else "no decision was found"
    echo(f"{_row('together', total(hours))}  {legend}")


def share_lost(hour: Hour) -> float | None:
    """Of its decisions, those of which no webhook told; None where there were none."""
    decisions = hour.webhook + hour.reconcile
    # A webhook may come in a later hour than the reconcile run that had overtaken it.
    return max(0, hour.reconcile - hour.overtaken) / decisions if decisions else None


def _row(name: str, hour: Hour) -> str:
    share = share_lost(hour)
    lost = "-" if share is None else f"{share:.1%}"
    return f"{name:<16}  {hour.webhook:>8,}  {hour.reconcile:>10,}  {hour.overtaken:>9,}  {lost:>6}"


def _bar(hour: Hour, most: int) -> str:
    """As long as its share of the fullest hour; whatever is there shows."""
    if not most:
        return ""
    late = min(hour.overtaken, hour.reconcile)
    parts = ((_BY_WEBHOOK, hour.webhook), (_LATE, late), (_LOST, hour.reconcile - late))
    return "".join(sign * max(1, round(_BAR * count / most)) for sign, count in parts if count)
