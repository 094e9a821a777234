"""Computes when people are notified of an alarm: once it has lasted, every few hours, and when it has cleared. No I/O.

The state is a record for each alarm. A process claims a notice in it for the length of a lease, then sends it; if the
process dies, another one claims the notice again. So a notice may arrive twice, and is never lost.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

Kind = Literal["raised", "lasting", "cleared"]

#: Seconds after which people are notified again of an alarm that lasts.
REPEAT = 4 * 3_600.0
#: Seconds that an alarm stays clear before people are notified; doubled with each return within an hour.
CLEAR_AFTER = 60.0
LONGEST_CLEAR_AFTER = 1_800.0
#: Seconds after its end in which an alarm that is raised again counts as returned.
COMING_BACK = 3_600.0
#: Seconds that an alarm without a notice stays clear before it is dropped: until then it may be flapping.
BLIP = 30.0
#: Seconds of a claim; longer than sending takes.
LEASE = 60.0
#: Seconds until a notice that reached nobody is sent again; doubled each time.
FIRST_RETRY, LONGEST_RETRY = 15.0, 900.0


class AlarmRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alarm. Times are seconds, by one clock."""

    #: When it was raised, and how often it returned.
    since: float
    returns: int = 0
    #: When people were last notified that it is raised, and that it has cleared; 0.0 for never.
    told_at: float = 0.0
    ended_at: float = 0.0
    #: When it became clear; 0.0 while it is raised.
    clear_since: float = 0.0
    #: The process that sends its notice, until when it is claimed, and how often sending failed.
    teller: str = ""
    claimed_until: float = 0.0
    failures: int = 0


Records: TypeAlias = Mapping[str, AlarmRecord]
NO_RECORDS: Records = {}

encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, AlarmRecord]).decode


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A message about one alarm."""

    name: str
    kind: Kind
    #: Seconds that the alarm lasts or lasted.
    seconds: float


def decode(encoded: bytes) -> Records:
    """Decode records; returns none if they cannot be read, because another version may have written them."""
    try:
        return _decode(encoded) if encoded else NO_RECORDS
    except msgspec.DecodeError:
        return NO_RECORDS


def advance(
    records: Records, raised: Mapping[str, float], *, judged: Collection[str], teller: str, now: float
) -> tuple[Records, list[Notice]]:
    """Compute the records as of now, and the notices that `teller` has claimed in them.

    `raised`: seconds that each of these alarms lasts before people are notified. `judged`: the alarms that could be
    evaluated; while Redis is away, the records of the others do not change.
    """
    following: dict[str, AlarmRecord] = dict(records)
    notices: list[Notice] = []
    for name in [*raised, *(name for name in records if name in judged and name not in raised)]:
        record = records.get(name)
        changed = _raised(record, now) if name in raised else _cleared(record, now)
        if changed is None:
            following.pop(name, None)
            continue
        kind = None if changed.claimed_until > now else _due(changed, raised.get(name), now)
        if kind is not None:
            notices.append(Notice(name=name, kind=kind, seconds=(changed.clear_since or now) - changed.since))
            changed = msgspec.structs.replace(changed, teller=teller, claimed_until=now + LEASE)
        following[name] = changed
    return following, notices


def settle(records: Records, notices: Iterable[Notice], *, teller: str, succeeded: bool, now: float) -> Records:
    """Compute the records after `teller` has sent these notices, or has failed to."""
    following = dict(records)
    for notice in notices:
        record = following.get(notice.name)
        if record is None or record.teller != teller:
            continue  # it took too long, and another process sends the notice
        following[notice.name] = _settled(record, notice.kind, succeeded=succeeded, now=now)
    return following


def merge(records: Records, own: Records) -> Records:
    """Merge the shared records with those of a process that could not write them."""
    following = dict(records)
    for name, record in own.items():
        other = following.get(name)
        if other is None or record.told_at > max(other.told_at, other.ended_at):
            following[name] = record
    return following


def _raised(record: AlarmRecord | None, now: float) -> AlarmRecord:
    if record is None:
        return AlarmRecord(since=now)
    if record.ended_at:
        return AlarmRecord(since=now, returns=record.returns + 1)
    return msgspec.structs.replace(record, clear_since=0.0)


def _cleared(record: AlarmRecord | None, now: float) -> AlarmRecord | None:
    if record is None:
        return None
    if record.ended_at:
        return record if now - record.ended_at < COMING_BACK else None
    changed = msgspec.structs.replace(record, clear_since=record.clear_since or now)
    if record.told_at or record.claimed_until > now or now - changed.clear_since < BLIP:
        return changed
    return msgspec.structs.replace(record, ended_at=now, failures=0) if record.returns else None


def _due(record: AlarmRecord, tell_after: float | None, now: float) -> Kind | None:
    """The notice that is due. `tell_after`: of a raised alarm; None for a clear one."""
    if tell_after is not None:
        if not record.told_at:
            return "raised" if now - record.since >= tell_after else None
        return "lasting" if now - record.told_at >= REPEAT else None
    if record.ended_at or not record.clear_since:
        return None
    clear_after = min(LONGEST_CLEAR_AFTER, CLEAR_AFTER * 2.0 ** min(record.returns, 10))
    return "cleared" if now - record.clear_since >= clear_after else None


def _settled(record: AlarmRecord, kind: Kind, *, succeeded: bool, now: float) -> AlarmRecord:
    if not succeeded:
        wait = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(record.failures, 10))
        return msgspec.structs.replace(record, teller="", claimed_until=now + wait, failures=record.failures + 1)
    freed = msgspec.structs.replace(record, teller="", claimed_until=0.0, failures=0)
    changes = {"ended_at": now} if kind == "cleared" else {"told_at": now}
    return msgspec.structs.replace(freed, **changes)
