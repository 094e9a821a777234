"""A failover to a replica that lags behind and whose clock differs: work goes on, and no fencing token is repeated.

What the replica had not received is lost with the primary, as with every asynchronous replication: events accepted
after that are found by reconciliation, and effects that were settled after that run again.
"""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from tests.builders import payload
from tests.ports import free_port
from tests.processes import proc
from tests.processes.faked_server import FakedServer
from tests.processes.stacks import SLACK, LiveStack
from workers.inbox import keys
from workers.redis_clients import command_client

LEASE = 6.0
#: Seconds by which the replica's clock is ahead.
AHEAD = 7.0
EVENTS = 10


class Pair:
    """A primary, and a replica of it that may take its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.primary = FakedServer(folder / "primary", port=free_port())
        #: Where the stack finds the primary, whichever server that is.
        self.address = self.primary.socket
        #: The first primary, then each replica.
        self._servers = [self.primary]
        self.primary.start()

    def add_replica(self) -> None:
        """Its clock is ahead of the primary's."""
        failovers = len(self._servers) - 1
        self.replica = FakedServer(self._folder / f"replica-{failovers}", port=free_port())
        self.replica.set_offset(AHEAD * (failovers + 1))
        self._servers.append(self.replica.start())
        with closing(command_client(f"unix://{self.address}")) as redis:
            # Otherwise a primary waits 5 seconds for more replicas.
            redis.config_set("repl-diskless-sync-delay", 0)
        self.replica_redis = command_client(self.replica.url)
        self.replica_redis.replicaof("127.0.0.1", str(self.primary.port))
        proc.until(self._is_linked, 10.0, "the replica follows its primary")

    def has_leased(self, event: str) -> bool:
        """Whether the replica knows that the handler `hold` runs; it may begin before that is recorded."""
        return bool(self.replica_redis.hexists(keys.LEASES, f"hold|{event}"))

    def detach(self) -> None:
        """From now on the replica lags: it hears of nothing more."""
        self.replica_redis.replicaof("NO", "ONE")

    def fail_over(self) -> None:
        """The primary is gone, and its address leads to the replica."""
        self.replica_redis.close()
        self.primary.kill()
        self.replica.socket.replace(self.address)
        self.primary = self.replica

    def stop(self) -> None:
        for server in reversed(self._servers):
            server.stop()

    def _is_linked(self) -> bool:
        return self.replica_redis.info("replication").get("master_link_status") == "up"


@pytest.fixture(scope="module")
def stack_of_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveStack, Pair]]:
    folder = tmp_path_factory.mktemp("failover")
    pair = Pair(folder)
    settings = {"REDIS_URL": pair.primary.url, "HITL_LEASE_SECONDS": str(LEASE)}
    try:
        with LiveStack(folder, settings) as running:
            yield running, pair
    finally:
        pair.stop()


@pytest.fixture
def pair(stack_of_pair: tuple[LiveStack, Pair]) -> Pair:
    """The module's pair, with a new replica of the server that is the primary now."""
    stack, pair = stack_of_pair
    stack.observer.open_gate()
    stack.wait_until_settled(LEASE + SLACK)
    stack.observer.close_gate()
    pair.add_replica()
    return pair


@pytest.fixture
def stack(stack_of_pair: tuple[LiveStack, Pair]) -> LiveStack:
    return stack_of_pair[0]


def answer(response: str) -> bytes:
    return payload(request_id=uuid.uuid4().hex, response=response)


def tokens(redis: Redis, events: list[str], handler: str) -> set[bytes]:
    found = {redis.hget(keys.event(event), f"{handler}:settled_under") for event in events}
    return {token for token in found if token is not None}


def handled(stack: LiveStack, count: int) -> list[str]:
    events = [stack.send_until_kept(answer("Approve")) for _ in range(count)]
    for event in events:
        stack.wait_for(event, "quick", seconds=LEASE + SLACK)
    stack.wait(lambda: len(tokens(stack.redis, events, "quick")) > 0, SLACK, "they are settled")
    return events


def test_no_fencing_token_is_repeated_and_what_runs_goes_on(stack: LiveStack, pair: Pair) -> None:
    held = [stack.send(answer("Hold")) for _ in range(3)]
    for event in held:
        stack.wait_for(event, "hold", "begin")
    stack.wait(lambda: all(map(pair.has_leased, held)), 5.0, "the replica knows what runs")

    pair.detach()
    before = handled(stack, EVENTS)
    lost = tokens(stack.redis, before, "quick")
    pair.fail_over()
    after = handled(stack, EVENTS)
    stack.observer.open_gate()
    stack.wait_until_settled(LEASE + SLACK)

    assert lost
    assert not lost & tokens(stack.redis, after, "quick")
    assert [stack.observer.told(event, "begin")["hold"] for event in held] == [1, 1, 1]
    assert not stack.redis.exists(*map(keys.event, before))


def test_effects_whose_settlement_was_not_replicated_run_again(stack: LiveStack, pair: Pair) -> None:
    """At least once, in the worst case: nothing that the replica knows is lost."""
    held = stack.send(answer("Hold"))
    stack.wait_for(held, "hold", "begin")
    stack.wait(lambda: pair.has_leased(held), 5.0, "the replica knows what runs")

    pair.detach()
    stack.observer.open_gate()
    stack.wait_until_settled()
    pair.fail_over()

    stack.wait(lambda: stack.open_work() == (0, 0), 2 * LEASE + 2 * SLACK, "the replica has it settled too")
    assert stack.effect(held, "hold").state == "done"
    assert stack.observer.told(held, "end")["hold"] == 2
