import asyncio

import pytest

from workers.inbox.group_commit import Closed, GroupCommit, Overloaded


class Recorder:
    """A flush that remembers its batches and can be held up or made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail: set[int] = set()

    async def flush(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        await self.gate.wait()
        if self.fail.intersection(items):
            raise ConnectionError("gone")
        return [item * 10 for item in items]


async def test_what_arrives_during_a_flush_goes_together_in_the_next() -> None:
    recorder = Recorder()
    commit = GroupCommit(recorder.flush)
    recorder.gate.clear()
    first = commit.submit(1)
    await asyncio.sleep(0)
    rest = [commit.submit(number) for number in (2, 3, 4)]
    recorder.gate.set()

    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert recorder.batches == [[1], [2, 3, 4]]


async def test_an_idle_one_flushes_at_once() -> None:
    recorder = Recorder()
    commit = GroupCommit(recorder.flush)

    assert await commit.submit(1) == 10
    assert await commit.submit(2) == 20
    assert recorder.batches == [[1], [2]]


async def test_a_failed_flush_fails_exactly_its_own() -> None:
    recorder = Recorder()
    recorder.fail = {1}
    commit = GroupCommit(recorder.flush)
    doomed = commit.submit(1)
    await asyncio.sleep(0)
    spared = commit.submit(2)

    with pytest.raises(ConnectionError):
        await doomed
    assert await spared == 20


async def test_a_cancelled_submitter_does_not_affect_the_others() -> None:
    recorder = Recorder()
    commit = GroupCommit(recorder.flush)
    gone, stays = commit.submit(1), commit.submit(2)
    gone.cancel()

    assert await stays == 20


async def test_a_batch_is_bounded_in_number_and_weight() -> None:
    recorder = Recorder()
    commit = GroupCommit(recorder.flush, batch_size=3, batch_weight=10, weigh=lambda item: item)
    await asyncio.gather(*(commit.submit(item) for item in (1, 1, 1, 1, 9, 50, 2)))

    assert recorder.batches == [[1, 1, 1], [1, 9], [50], [2]]


async def test_more_than_it_can_hold_is_refused() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commit = GroupCommit(recorder.flush, max_waiting=2)
    kept = [commit.submit(1), commit.submit(2)]

    with pytest.raises(Overloaded):
        commit.submit(3)
    recorder.gate.set()
    assert await asyncio.gather(*kept) == [10, 20]


async def test_more_weight_than_it_can_hold_is_refused_but_never_all_of_it() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commit = GroupCommit(recorder.flush, weigh=lambda item: item, max_waiting_weight=10)
    first = commit.submit(1)
    await asyncio.sleep(0)
    kept = [first, commit.submit(50)]

    with pytest.raises(Overloaded):
        commit.submit(1)
    recorder.gate.set()
    assert await asyncio.gather(*kept) == [10, 500]


async def test_closing_flushes_what_was_taken_and_takes_no_more() -> None:
    recorder = Recorder()
    commit = GroupCommit(recorder.flush)
    taken = commit.submit(1)
    await commit.close()

    assert await taken == 10
    with pytest.raises(Closed):
        commit.submit(2)
