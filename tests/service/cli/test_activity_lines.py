"""The lines of `dev` for deliveries and attempts."""

import pytest

from service.cli.development.activity_lines import ANSWER_SECONDS, HANDLER_SECONDS, ActivityLines
from workers.telemetry.activity import AttemptEnded, DeliveryAnswered

KEY = "request.completed:6b07"
ACCEPTED = DeliveryAnswered(status=202, reason="accepted", event="request.completed", event_key=KEY)


def attempt(end: str = "done", **changes: object) -> AttemptEnded:
    fields = {"handler": "pay_out", "event": "request.completed", "event_key": KEY, "end": end, "seconds": 0.012}
    return AttemptEnded(**(fields | changes))  # type: ignore[arg-type]


class Lines:
    """The lines that are printed while time passes."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._now = 0.0
        self._lines = ActivityLines("| ", clock=lambda: self._now)

    def show(self, *activity: DeliveryAnswered | AttemptEnded) -> list[str]:
        for one in activity:
            self._lines.show(one)
        return self.printed()

    def after(self, seconds: float) -> list[str]:
        self._now += seconds
        self._lines.print_overdue()
        return self.printed()

    def printed(self) -> list[str]:
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return Lines(capsys)


def test_a_delivery_and_a_quick_handler_stand_on_one_line(lines: Lines) -> None:
    assert lines.show(ACCEPTED, attempt()) == ["| 202 request.completed 6b07 → pay_out done 12 ms"]
    assert lines.after(1.0) == []


def test_a_handler_may_end_before_its_delivery_is_answered(lines: Lines) -> None:
    assert lines.show(attempt(), ACCEPTED) == ["| 202 request.completed 6b07 → pay_out done 12 ms"]


def test_a_slow_handler_gets_a_line_of_its_own(lines: Lines) -> None:
    lines.show(ACCEPTED)

    assert lines.after(HANDLER_SECONDS) == ["| 202 request.completed 6b07"]
    lines.show(attempt(seconds=3.14))
    assert lines.after(ANSWER_SECONDS) == ["|     request.completed 6b07 → pay_out done 3.1 s"]


def test_each_further_handler_gets_a_line(lines: Lines) -> None:
    first = lines.show(ACCEPTED, attempt(), attempt(handler="notify"), attempt(handler="audit"))

    assert [line.split(" → ")[1] for line in first] == ["pay_out done 12 ms", "notify done 12 ms"]
    assert lines.after(ANSWER_SECONDS) == ["|     request.completed 6b07 → audit done 12 ms"]


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (attempt("failed", error="ValueError: no"), "pay_out gave up 12 ms: ValueError: no"),
        (
            attempt("retry", error="ValueError: no", retry_after=90.0),
            "pay_out failed 12 ms, again in 90 s: ValueError: no",
        ),
        (attempt("retry", retry_after=0.0), "pay_out asked for another attempt 12 ms, again in 0.0 ms"),
        (attempt("skipped"), "pay_out skipped: its conditions do not hold"),
        (attempt("held", handler="gone"), "gone held: no handler has this name"),
    ],
)
def test_the_end_of_an_attempt_is_named(lines: Lines, ended: AttemptEnded, text: str) -> None:
    assert lines.show(ACCEPTED, ended) == [f"| 202 request.completed 6b07 → {text}"]


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (401, "signature_mismatch", "401 signature_mismatch: is HITL_WEBHOOK_SECRETS right?"),
        (404, "not_found", "404 not_found: HITL.sh posts to /webhooks/hitl and /callbacks/TOKEN"),
        (503, "shutting_down", "503 shutting_down"),
    ],
)
def test_a_refusal_names_the_setting_to_check(lines: Lines, status: int, reason: str, text: str) -> None:
    assert lines.show(DeliveryAnswered(status=status, reason=reason)) == [f"| {text}"]


def test_a_delivery_that_no_handler_gets_says_why(lines: Lines) -> None:
    duplicate = DeliveryAnswered(status=200, reason="duplicate", event="request.completed", event_key=KEY)

    assert lines.show(duplicate) == ["| 200 request.completed 6b07 duplicate: it was received before"]


def test_text_from_outside_is_escaped(lines: Lines) -> None:
    hostile = DeliveryAnswered(status=200, reason="unrouted", event="a\x1b[2Jb", event_key="a\x1b[2Jb:1\n2")

    assert lines.show(hostile) == ["| 200 a\\x1b[2Jb 1\\n2 unrouted: no route matches it"]


def test_an_event_that_no_handler_gets_says_so(lines: Lines) -> None:
    assert lines.show(ACCEPTED, attempt("unrouted", handler="")) == [
        "| 202 request.completed 6b07 → no handler: its conditions do not hold"
    ]
