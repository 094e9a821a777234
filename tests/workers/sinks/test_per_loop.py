import asyncio
import gc
import multiprocessing

from workers.sinks.per_loop import PerLoop


class Opened:
    count = 0

    def __init__(self) -> None:
        Opened.count += 1
        self.closed = False

    async def close(self) -> None:
        self.closed = True


def test_nothing_is_opened_before_the_first_use() -> None:
    before = Opened.count

    PerLoop(Opened, Opened.close)

    assert Opened.count == before


def test_many_that_ask_at_once_share_one() -> None:
    kept = PerLoop(Opened, Opened.close)

    async def ask() -> list[Opened]:
        return await asyncio.gather(*(kept.get() for _ in range(50)))

    assert len({id(each) for each in asyncio.run(ask())}) == 1


def test_each_loop_has_its_own_and_closes_it() -> None:
    kept = PerLoop(Opened, Opened.close)

    first = asyncio.run(kept.get())
    second = asyncio.run(kept.get())

    assert first is not second
    assert first.closed
    assert second.closed


def test_open_connections_are_closed_with_the_event_loop() -> None:
    async def ask_and_forget() -> tuple[Opened, bool]:
        opened = await PerLoop(Opened, Opened.close).get()
        gc.collect()
        await asyncio.sleep(0)
        return opened, opened.closed

    opened, closed_early = asyncio.run(ask_and_forget())

    assert (closed_early, opened.closed) == (False, True)


def test_a_forked_process_opens_its_own() -> None:
    kept = PerLoop(Opened, Opened.close)
    mine = asyncio.run(kept.get())
    answers = multiprocessing.get_context("fork").SimpleQueue()

    child = multiprocessing.get_context("fork").Process(
        target=lambda: answers.put(asyncio.run(kept.get()) is not mine), daemon=True
    )
    child.start()
    child.join(10)

    assert answers.get() is True
