"""How tables and colors fit where they are printed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.cli import output
from service.cli.output import Field, echo, print_fields, print_table, progress_bar

HEADS = ("ACCEPTED", "EFFECTS", "KEY")
ROW = ("2026-03-01 12:00:00Z", "pay_out done, notify done, audit failed", "request.completed:66c0ffee00000000000000a1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def on_terminal(
    *, columns: int = 80, no_color: str = "", stdout: io.StringIO | None = None, progress_after: float = 0.0
) -> Iterator[Terminal]:
    """A terminal as standard output and standard error; `stdout`: where standard output goes instead."""
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setattr(output, "PROGRESS_AFTER", progress_after)
        patch.setenv("NO_COLOR", no_color)
        patch.setattr("sys.stdout", stdout or terminal)
        patch.setattr("sys.stderr", terminal)
        yield terminal


def test_a_table_wraps_words_on_a_narrow_terminal() -> None:
    with on_terminal() as terminal:
        print_table(HEADS, [ROW])

    assert terminal.getvalue().splitlines() == [
        "ACCEPTED              EFFECTS         KEY",
        "2026-03-01 12:00:00Z  pay_out done,   request.completed:66c0ffee00000000000000a1",
        "                      notify done,",
        "                      audit failed",
    ]


def test_notes_fit_the_terminal() -> None:
    with on_terminal(columns=40) as terminal:
        print_fields([Field("webhooks", 12, "silent for an hour although requests are open")])

    assert max(map(len, terminal.getvalue().splitlines())) <= 40


def test_words_are_never_broken() -> None:
    with on_terminal(columns=20) as terminal:
        print_table(HEADS, [ROW])

    assert set(terminal.getvalue().split()) == {word for text in (*HEADS, *ROW) for word in text.split()}


def test_a_table_in_a_file_has_one_line_a_row() -> None:
    file = io.StringIO()
    with on_terminal(columns=20, stdout=file):
        print_table(HEADS, [ROW])

    assert file.getvalue().splitlines()[1] == "  ".join(ROW)


@pytest.mark.parametrize(("no_color", "text"), [("", "\x1b[1mbold\x1b[0m\n"), ("1", "bold\n")])
def test_colors_are_for_terminals_of_users_who_want_them(no_color: str, text: str) -> None:
    with on_terminal(no_color=no_color) as terminal:
        echo("bold", bold=True)

    assert terminal.getvalue() == text


def test_progress_is_shown_beside_output_that_goes_elsewhere() -> None:
    with on_terminal(stdout=io.StringIO()) as terminal, progress_bar(2, "Export", prints=True) as advance:
        advance(2)

    assert "Export" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_progress_is_not_mixed_with_output_on_a_terminal() -> None:
    with on_terminal() as terminal, progress_bar(2, "Export", prints=True) as advance:
        advance(2)

    assert terminal.getvalue() == ""


def test_progress_of_quick_work_is_not_shown() -> None:
    with on_terminal(progress_after=60.0) as terminal, progress_bar(2, "Export") as advance:
        advance(2)

    assert terminal.getvalue() == ""


def test_progress_of_unknown_length_is_a_count() -> None:
    with on_terminal() as terminal, progress_bar(None, "replay") as advance:
        advance(25)
        advance(25)

    assert "replay" in terminal.getvalue()
    assert "50" in terminal.getvalue()


def test_progress_is_for_terminals() -> None:
    file = io.StringIO()
    with on_terminal() as terminal, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", file)
        with progress_bar(None, "replay") as advance:
            advance(25)

    assert file.getvalue() + terminal.getvalue() == ""
