"""The stored text of an error, and its summary, for real exceptions."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from workers.telemetry.error_text import LONGEST_TEXT, error_summary, error_text


def caught(function: Callable[..., Any], *arguments: Any) -> BaseException:
    with pytest.raises(BaseException) as raised:
        function(*arguments)
    return raised.value


def fail(message: str) -> None:
    raise ValueError(message)


def fail_because(message: str) -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError(message) from error


def fail_in_group() -> None:
    raise ExceptionGroup("two failed", [ValueError("first"), KeyError("second")])


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (caught(fail, "boom"), "ValueError: boom"),
        (
            caught(fail, "2 validation errors\n  amount\n    missing\nsee https://example.com"),
            "ValueError: 2 validation errors",
        ),
        (caught(fail, ""), "ValueError"),
        (caught(fail, "x" * 50_000), f"ValueError: {'x' * 100}"),
        (caught(fail, "line\n" * 5_000), "ValueError: line"),
        (caught(fail_because, "the bank is down"), "RuntimeError: the bank is down"),
        (caught(compile, "def f(:", "shop.py", "exec"), "SyntaxError: invalid syntax"),
        (caught(fail_in_group), "KeyError: 'second'"),
    ],
)
def test_the_summary_names_the_exception(error: BaseException, summary: str) -> None:
    text = error_text(error)

    assert len(text) <= LONGEST_TEXT + 2
    assert error_summary(text).startswith(summary)


@pytest.mark.parametrize(
    ("text", "summary"), [("GiveUp: no such invoice\nask ann", "GiveUp: no such invoice"), ("", ""), ("\n\n", "")]
)
def test_the_summary_of_a_reason_is_its_first_line(text: str, summary: str) -> None:
    assert error_summary(text) == summary


def test_a_long_message_leaves_room_for_the_frame_that_failed() -> None:
    text = error_text(caught(fail, "x" * 50_000))

    assert re.search(r'File ".*test_error_text.py", line \d+, in fail', text)
