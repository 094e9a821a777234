import logging

import pytest

from workers.sinks import Log
from workers.testing import completed


async def test_a_decision_is_one_line_without_its_contents(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await Log("mine").send(completed("a\nb" + "x" * 500, state={"secret": "p4ssword"}))

    [record] = caplog.records
    line = record.getMessage()
    assert (record.name, record.levelname) == ("mine", "INFO")
    assert line.startswith("decision.forwarded event=request.completed key=request.completed:")
    assert "\n" not in line
    assert "p4ssword" not in line
    assert "robin@example.com" not in line
    assert len(line) < 400


async def test_a_falsy_answer_is_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await Log().send(completed(False))

    assert "source=human trust=callback response=False" in caplog.text
