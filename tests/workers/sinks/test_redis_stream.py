import json
from typing import Any

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer
from workers.errors import NotDelivered, RouteInvalid
from workers.sinks import RedisStream
from workers.testing import completed


def entries(redis: Redis) -> list[dict[bytes, bytes]]:
    found: Any = redis.xrange("decisions")
    return [fields for _, fields in found]


async def test_each_decision_is_an_entry_with_id_and_body(server: EmbeddedServer, redis: Redis) -> None:
    await RedisStream("decisions", server.url).send(completed(False))

    [entry] = entries(redis)
    assert entry.keys() == {b"id", b"body"}
    body = json.loads(entry[b"body"])
    assert (body["id"], body["response"]) == (entry[b"id"].decode(), False)


async def test_a_repetition_has_the_same_id(server: EmbeddedServer, redis: Redis) -> None:
    sink = RedisStream("decisions", server.url)

    await sink.send(completed())
    await sink.send(completed())

    assert len({entry[b"id"] for entry in entries(redis)}) == 1


async def test_the_stream_does_not_grow_for_ever(server: EmbeddedServer, redis: Redis) -> None:
    sink = RedisStream("decisions", server.url, maxlen=10)

    for _ in range(500):
        await sink.send(completed())

    assert redis.xlen("decisions") < 250  # about 10: whole nodes of 100 go at a time


async def test_the_server_is_that_of_the_receiver_by_default(
    server: EmbeddedServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = RedisStream("decisions")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(NotDelivered, match="REDIS_URL is not set"):
        await sink.send(completed())

    monkeypatch.setenv("REDIS_URL", server.url)
    await sink.send(completed())

    assert redis.xlen("decisions") == 1


async def test_a_key_of_another_type_is_reported(server: EmbeddedServer, redis: Redis) -> None:
    redis.set("decisions", "text")

    with pytest.raises(NotDelivered, match=r"stream decisions: .*WRONGTYPE"):
        await RedisStream("decisions", server.url).send(completed())


@pytest.mark.parametrize(
    "given",
    [
        {"stream": ""}, {"stream": None}, {"stream": "{hitl}:due"}, {"url": "http://a.example"}, {"url": ""},
        {"maxlen": 0}, {"maxlen": True}, {"maxlen": None},
    ],
)  # fmt: skip
def test_what_could_not_work_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(RouteInvalid, match="RedisStream"):
        RedisStream(**({"stream": "decisions"} | given))
