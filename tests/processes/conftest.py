"""One stack for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.processes.stacks import LiveStack


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    with LiveStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def stack(shared_stack: LiveStack) -> Iterator[LiveStack]:
    """The module's stack, whole again and at rest."""
    shared_stack.observer.close_gate()
    yield shared_stack
    shared_stack.observer.open_gate()
    shared_stack.wait(lambda: shared_stack.health("ready") == 200, 20.0, "the web process is ready again")
    shared_stack.wait_until_settled(20.0)
