from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from hitlsh import AsyncHitl, Hitl
from tests.hitlsh.asking_client.receiver import TOKEN, Receiver, running_receiver
from tests.service.web.requests.conftest import TOKEN as WEB_TOKEN
from tests.service.web.requests.conftest import AskingReceiver, asking, asking_and_web, sandbox, server, web

__all__ = ["asking", "asking_and_web", "sandbox", "server", "web"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def hitl(receiver: Receiver) -> Iterator[Hitl]:
    with Hitl(receiver.url, TOKEN, retry_for=timedelta(seconds=3)) as client:
        yield client


@pytest.fixture
async def async_hitl(receiver: Receiver) -> AsyncIterator[AsyncHitl]:
    async with AsyncHitl(receiver.url, TOKEN, retry_for=timedelta(seconds=3)) as client:
        yield client


@pytest.fixture
def web_hitl(web: AskingReceiver) -> Iterator[Hitl]:
    with Hitl(web.url, WEB_TOKEN) as client:
        yield client
