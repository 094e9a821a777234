import json

from hypothesis import given
from hypothesis import strategies as st

from tests.service.hostile import EVERY, texts, unprintable
from workers.telemetry.escaping import escape, escape_json, one_line

ANY_TEXT = st.text(st.characters(codec=None, categories=None)) | texts


@given(ANY_TEXT)
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escape(text).isprintable()
    assert one_line(text).isprintable()


@given(ANY_TEXT)
def test_escaped_json_is_the_same_json(text: str) -> None:
    encoded = escape_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))

    assert not unprintable(encoded)
    assert json.loads(encoded) == {text: [text]}


def test_every_known_trick_is_escaped() -> None:
    assert len(escape(EVERY)) > 3 * len(EVERY)
    assert escape("a\n\x1b[2J\x9b\u202e\U000e0041\ud800") == "a\\n\\x1b[2J\\x9b\\u202e\\U000e0041\\ud800"


def test_white_space_becomes_blanks_in_a_table_cell() -> None:
    assert one_line("two\nlines\tand\u2028more\x07") == "two lines and more\\x07"


def test_usual_text_stays() -> None:
    assert escape("Größe 7 → 👍, ok?") == "Größe 7 → 👍, ok?"
