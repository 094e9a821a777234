"""mypy knows the type of the response."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
from datetime import timedelta
from enum import Enum
from typing import Any, assert_type

from hitlsh import (
    Answered, AsyncHitl, Cancelled, Conflicted, Defaulted, Hitl, Lost, RequestHandle, TimedOut,
    multi_select, rating, single_select, text, whole_number,
)

class Verdict(Enum):
    APPROVE = "Approve"
    REJECT = "Reject"

def ask(hitl: Hitl) -> None:
    outcome = hitl.ask("?", loop="L", answer=bool, default=False)
    assert_type(outcome, Answered[bool] | TimedOut | Cancelled | Conflicted | Lost)
    assert_type(hitl.ask("?", loop="L", answer=Verdict, default=Verdict.REJECT, on_timeout="raise"), Answered[Verdict])
    select = single_select("A", "B")
    assert_type(
        hitl.ask("?", loop="L", answer=select, default="B", on_timeout="default", timeout=timedelta(minutes=5)),
        Answered[str] | Defaulted[str],
    )
    assert_type(hitl.submit("?", loop="L", answer=whole_number(1, 5), default=3), RequestHandle[int])
    assert_type(hitl.submit("?", loop="L", answer=rating(), default=3), RequestHandle[float])
    assert_type(hitl.submit("?", loop="L", answer=text(), default=""), RequestHandle[str])
    handle = hitl.submit("?", loop="L", answer=multi_select("A", "B"), default=["A"])
    assert_type(hitl.wait(handle, on_timeout="raise"), Answered[list[str]])
    assert_type(hitl.wait("ask_1", answer=bool, on_timeout="raise"), Answered[bool])
    assert_type(hitl.wait("ask_1", on_timeout="raise"), Answered[Any])

async def ask_async(hitl: AsyncHitl) -> None:
    assert_type(await hitl.ask("?", loop="L", answer=bool, default=False, on_timeout="raise"), Answered[bool])
    handle = await hitl.submit("?", loop="L", answer=Verdict, default=Verdict.REJECT)
    assert_type(await hitl.wait(handle, on_timeout="default"), Answered[Verdict] | Defaulted[Verdict])

def mistakes(hitl: Hitl) -> None:
    hitl.submit("?", loop="L", answer=single_select("A"), default=5)  # refused
    hitl.submit("?", loop="L", answer=bool, default=False, time_out=5)  # refused
    hitl.submit("?", loop="L", answer=bool, default=False, when_limited="later")  # refused
    hitl.ask("?", loop="L", answer=bool, default=False, on_timeout="ignore")  # refused
"""


@pytest.mark.slow
def test_mypy_knows_the_type_of_a_response_and_refuses_mistakes(tmp_path: Path) -> None:
    module = tmp_path / "typed_asking.py"
    module.write_text(CODE)

    # The project's own configuration, so that it shares the cache of `make check`.
    words = [sys.executable, "-m", "mypy", "--strict", str(module)]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    refused = {number for number, line in enumerate(CODE.splitlines(), 1) if line.endswith("# refused")}
    found = {int(line) for line in re.findall(r"typed_asking\.py:(\d+): error", checked.stdout)}
    assert found == refused, checked.stdout
