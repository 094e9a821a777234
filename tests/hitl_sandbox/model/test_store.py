from pathlib import Path

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver


@pytest.mark.slow
def test_a_file_outlives_the_sandbox(tmp_path: Path, receiver: Receiver) -> None:
    db = str(tmp_path / "sandbox.sqlite")
    receiver.answer(500)
    with Sandbox(db=db, speed=0, start=1000) as first:
        api = Caller(first)
        request_id = api.request(api.loop(), callback_url=receiver.url)
        first.answer(request_id, "Publish")
        first.settle()
        api.close()

    with Sandbox(db=db, speed=0, start=2000) as second:
        second.settle()
        api = Caller(second)
        request = api.read(request_id)
        delivery = second.deliveries(request_id)[0]
        api.close()

    assert request["response_data"] == "Publish"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 200]


@pytest.mark.slow
def test_what_came_due_while_it_was_off_happens_at_start(tmp_path: Path) -> None:
    db = str(tmp_path / "sandbox.sqlite")
    with Sandbox(db=db, speed=0, start=1000) as first:
        api = Caller(first)
        request_id = api.request(api.loop(), timeout_seconds=60)
        api.close()

    with Sandbox(db=db, speed=0, start=5000) as second:
        second.settle()
        api = Caller(second)
        status = api.read(request_id)["status"]
        api.close()

    assert status == "timeout"
