import time

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver


def test_time_that_runs_fires_timeouts_by_itself(receiver: Receiver) -> None:
    with Sandbox(speed=600) as fast:
        api = Caller(fast)
        api.request(api.loop(), timeout_seconds=60, callback_url=receiver.url)
        ends = time.monotonic() + 10
        while not receiver.received and time.monotonic() < ends:
            time.sleep(0.02)
        api.close()

    assert [body["event"] for body in receiver.bodies()] == ["request.timeout"]


def test_retries_run_on_the_fast_clock(receiver: Receiver) -> None:
    receiver.answer(500, 500)
    with Sandbox(speed=100) as fast:
        api = Caller(fast)
        request_id = api.request(api.loop(), callback_url=receiver.url)
        fast.answer(request_id, "Publish")
        ends = time.monotonic() + 10
        while len(receiver.received) < 3 and time.monotonic() < ends:
            time.sleep(0.02)
        fast.settle()
        (delivery,) = fast.deliveries(request_id)
        api.close()

    moments = [attempt["at"] - delivery["created_at"] for attempt in delivery["attempts"]]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500, 200]
    assert moments[1] >= 1
    assert moments[2] - moments[1] >= 2
