from collections.abc import AsyncIterator

import pytest

from tests.workers.sinks.target import Target, target


@pytest.fixture
async def hook() -> AsyncIterator[Target]:
    async with target() as made:
        yield made
