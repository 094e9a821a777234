"""Fresh deliveries of every form, which the parser must know."""

import re
from datetime import UTC, datetime

import pytest

from hitlsh.events import Event
from hitlsh.samples.catalog import SAMPLES, SampleInvalid, sample
from hitlsh.webhooks.parsing import parse

VARIANTS = {
    "callback-v2", "nested", "intro-flat", "data-flat", "global", "n8n-doc", "make-flat", "make-workflow",
    "turn.resolved", "handoff", "legacy-r0", "n8n-resume",
}  # fmt: skip
ANSWERED = [name for name, each in SAMPLES.items() if each.answered]
SILENT = [name for name, each in SAMPLES.items() if not each.answered]


def event(body: bytes) -> Event:
    read = parse(body)
    assert isinstance(read, Event)
    return read


def test_there_is_a_sample_of_every_documented_form() -> None:
    assert {event(sample(name)).variant for name in SAMPLES} == VARIANTS


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_of_the_form_its_name_says(name: str) -> None:
    read = event(sample(name))

    assert name.startswith(read.variant)
    assert SAMPLES[name].name == name
    assert (read.source == "human") == SAMPLES[name].answered


@pytest.mark.parametrize("name", SAMPLES)
def test_sending_a_sample_again_is_no_duplicate(name: str) -> None:
    assert event(sample(name)).key != event(sample(name)).key


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_about_the_request_and_the_time_given(name: str) -> None:
    body = sample(name, request_id="6" * 24, now=datetime(2026, 5, 4, 9, 30, tzinfo=UTC))

    read = event(body)

    assert read.request_id in {"6" * 24, None}
    assert read.occurred_at in {datetime(2026, 5, 4, 9, 30, tzinfo=UTC), None}


@pytest.mark.parametrize("name", ANSWERED)
@pytest.mark.parametrize("response", ["Reject", False, 0, ["a", "b"]])
def test_a_sample_carries_the_response_given(name: str, response: object) -> None:
    assert event(sample(name, response=response)).response == response


@pytest.mark.parametrize("name", SILENT)
def test_a_response_where_nobody_answers_is_refused(name: str) -> None:
    with pytest.raises(SampleInvalid, match="leave the response out"):
        sample(name, response="Reject")


def test_an_unknown_sample_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SampleInvalid, match=re.escape("callback-v2.completed, ")):
        sample("no.such")


def test_an_id_is_made_as_the_vendor_makes_them() -> None:
    assert re.fullmatch("[0-9a-f]{24}", event(sample("callback-v2.completed")).request_id or "")
