"""One sandbox for all tests, reset before each; its clock moves only when a test advances it."""

from collections.abc import Iterator

import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller
from tests.hitl_sandbox.receiver import Receiver


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    # The start is 20 minutes before a full hour.
    with Sandbox(speed=0, start=1_790_000_400, rate_limit=100_000, deadline=2) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset(seed=1)
    return running_sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Caller]:
    caller = Caller(sandbox)
    yield caller
    caller.close()


@pytest.fixture
def other_account(sandbox: Sandbox) -> Iterator[Caller]:
    """A caller with the key of another account."""
    caller = Caller(sandbox, "hitl_test_other_account")
    yield caller
    caller.close()


@pytest.fixture
def loop(api: Caller) -> str:
    return api.loop()


@pytest.fixture(scope="session")
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(running_receiver: Receiver, sandbox: Sandbox) -> Receiver:
    running_receiver.clear()
    return running_receiver
