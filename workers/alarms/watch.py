"""Watches alarms in a thread, and notifies people.

The clock process does so, and web processes while no clock runs. One of them sends each notice, which it claims in
Redis. While Redis is away or refuses writes, each process uses the records in its memory.
"""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from itertools import accumulate

from redis import Redis
from redis.exceptions import RedisError

from workers.alarms import messenger, notices
from workers.alarms.alarm import Alarm, Severity
from workers.alarms.messenger import MessageKind
from workers.alarms.notices import Notice, Records
from workers.inbox import presence
from workers.inbox.alarms import alarm_record
from workers.inbox.presence import Process
from workers.settings import Settings
from workers.telemetry.quantities import duration

logger = logging.getLogger("hitl.alarms")

#: Seconds between two readings.
EVERY = 5.0
#: Seconds that Redis is away or refuses writes before a web process sends the notice, if a clock was running.
CLOCK_FIRST = 300.0
#: Characters of a message; chat services refuse longer ones.
LONGEST = 3_000
#: Attempts to record that a notice was sent, because other processes write too.
_ATTEMPTS = 5


class AlarmWatch:
    """Evaluates the alarms of one process."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        process: Process,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        send: Callable[..., bool] = messenger.send,
    ) -> None:
        """`redis`: a client for this watch, with short timeouts."""
        self._settings = settings
        self._redis = redis
        self._process = process
        self._monotonic = monotonic
        self._send = send
        self._name = f"{process}-{uuid.uuid4().hex}"
        #: Seconds by which the inbox clock is ahead of the monotonic clock; estimated before the first reading.
        self._ahead = time.time() - monotonic()
        self._has_read = False
        #: The last records in Redis, and the records that were changed while it could not be written.
        self._shared: Records = notices.NO_RECORDS
        self._own: Records | None = None
        #: Whether a clock ran when Redis last took writes, and since when it does not.
        self._had_clock = False
        self._away_since: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Start the watch, in a daemon thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the watch; a message that is being sent may be completed."""
        self._stopped.set()

    def _run(self) -> None:
        has_failed = False
        while not self._stopped.wait(EVERY):
            try:
                self.step()
                has_failed = False
            except Exception:
                if not has_failed:  # it may last for days
                    logger.exception("alarms.failed: the alarms could not be evaluated; nobody is told until they can")
                has_failed = True
        self._redis.close()

    def step(self) -> list[Notice]:
        """Evaluate once; returns the notices that were claimed and sent here."""
        try:
            if self._process == "web" and presence.is_present(self._redis, "clock"):
                self._had_clock, self._away_since = True, None
                return []
            alarms, judged, takes_writes = self._evaluate()
            is_away = False
            if not takes_writes and self._waits_for_a_clock():  # which cannot announce itself
                return []
            if takes_writes:
                self._had_clock, self._away_since = False, None
        except RedisError as error:
            if self._waits_for_a_clock():
                return []
            from workers.alarms.rules import all_rules

            alarm = all_rules.unreachable(error)
            alarms, judged, is_away = [alarm], [alarm.name], True
        claimed = self._claim(alarms, judged, is_away=is_away)
        if claimed:
            self._tell({alarm.name: alarm for alarm in alarms}, claimed)
        return claimed

    # -- evaluation ------------------------------------------------------------------------------------

    def _waits_for_a_clock(self) -> bool:
        if not self._had_clock:
            return False
        now = self._monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        return now - self._away_since < CLOCK_FIRST

    def _evaluate(self) -> tuple[Sequence[Alarm], Sequence[str], bool]:
        """The raised alarms, the names of all that were evaluated, and whether Redis takes writes."""
        # Imported at the first use: a web process beside a clock does not need it.
        from workers.alarms import reading
        from workers.alarms.rules import all_rules

        current = reading.read(self._settings, self._redis)
        ahead = current.now - self._monotonic()
        # The inbox clock stands still if no process can write it, as on a replica.
        self._ahead = max(ahead, self._ahead) if self._has_read else ahead
        self._has_read = True
        return all_rules.evaluate(current), [rule.name for rule in all_rules.RULES], current.takes_writes

    # -- notices ------------------------------------------------------------------------------------

    def _claim(self, alarms: Sequence[Alarm], judged: Sequence[str], *, is_away: bool) -> list[Notice]:
        from workers.alarms.rules.all_rules import BY_NAME

        raised = {alarm.name: BY_NAME[alarm.name].tell_after for alarm in alarms}
        if not is_away:
            try:
                encoded = alarm_record.read(self._redis)
                self._shared = notices.decode(encoded)
                records = self._shared if self._own is None else notices.merge(self._shared, self._own)
                following, claimed = notices.advance(records, raised, judged=judged, teller=self._name, now=self._now())
                if following != self._shared:
                    if not alarm_record.replace(self._redis, encoded, notices.encode(following)):
                        return []  # another process has written at the same time
                    self._shared = following
                self._own = None
            except RedisError as error:
                if self._own is None:
                    logger.warning("alarms.not_shared error=%s: each process tells by itself", type(error).__name__)
            else:
                return claimed
        records = self._shared if self._own is None else self._own
        self._own, claimed = notices.advance(records, raised, judged=judged, teller=self._name, now=self._now())
        return claimed

    def _tell(self, alarms: dict[str, Alarm], claimed: Sequence[Notice]) -> None:
        for notice in claimed:
            _log(notice, alarms.get(notice.name))
        succeeded = True
        if self._settings.alerts:
            title, body, kind = message(claimed, alarms)
            succeeded = self._send(self._settings.alerts, title=title, body=body, kind=kind)
        self._settle(claimed, succeeded=succeeded)

    def _settle(self, claimed: Sequence[Notice], *, succeeded: bool) -> None:
        if self._own is None:
            try:
                for _ in range(_ATTEMPTS):
                    encoded = alarm_record.read(self._redis)
                    settled = self._settled(notices.decode(encoded), claimed, succeeded=succeeded)
                    if alarm_record.replace(self._redis, encoded, notices.encode(settled)):
                        self._shared = settled
                        return
            except RedisError:
                self._own = self._shared  # Redis went away meanwhile
            else:
                return
        self._own = self._settled(self._own, claimed, succeeded=succeeded)

    def _settled(self, records: Records, claimed: Sequence[Notice], *, succeeded: bool) -> Records:
        return notices.settle(records, claimed, teller=self._name, succeeded=succeeded, now=self._now())

    def _now(self) -> float:
        return self._monotonic() + self._ahead


def message(claimed: Sequence[Notice], alarms: dict[str, Alarm]) -> tuple[str, str, MessageKind]:
    """Title, text and kind of the message for these notices."""
    severities: set[Severity] = {alarms[one.name].severity for one in claimed if one.kind != "cleared"}
    severity = "critical" if "critical" in severities else "warning" if severities else "cleared"
    kinds: dict[str, MessageKind] = {"critical": "failure", "warning": "warning", "cleared": "success"}
    names = ", ".join(one.name for one in claimed)
    paragraphs = [_paragraph(one, alarms.get(one.name)) for one in claimed]
    shown = [
        text
        for text, length in zip(paragraphs, accumulate(len(text) + 2 for text in paragraphs), strict=True)
        if length < LONGEST
    ]
    if len(shown) < len(paragraphs):
        shown.append(f"{len(paragraphs) - len(shown)} more: see `hitl-receiver status`.")
    return f"[{severity}] hitl-receiver on {socket.gethostname()}: {names}", "\n\n".join(shown), kinds[severity]


def _paragraph(notice: Notice, alarm: Alarm | None) -> str:
    if notice.kind == "cleared" or alarm is None:
        return f"CLEARED {notice.name}, after {duration(notice.seconds)}."
    lasting = f"\nIt has lasted for {duration(notice.seconds)}." if notice.kind == "lasting" else ""
    return f"{alarm.severity.upper()} {alarm.name}: {alarm.text}{lasting}\nWhat to do: {alarm.remedy}"


def _log(notice: Notice, alarm: Alarm | None) -> None:
    if alarm is None or notice.kind == "cleared":
        logger.info("alarm.cleared name=%s seconds=%.0f", notice.name, notice.seconds)
        return
    level = logging.ERROR if alarm.severity == "critical" else logging.WARNING
    text = f"{alarm.text} {alarm.remedy}"
    if notice.kind == "raised":
        logger.log(level, "alarm.raised name=%s severity=%s: %s", notice.name, alarm.severity, text)
    else:
        logger.log(
            level, "alarm.lasts name=%s severity=%s seconds=%.0f: %s", notice.name, alarm.severity, notice.seconds, text
        )
