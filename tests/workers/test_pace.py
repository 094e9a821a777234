import time

from workers.handlers.prefetch import CLAIM_SECONDS, WINDOW, Pace


def test_nothing_is_claimed_ahead_of_slow_handlers() -> None:
    pace = Pace()
    pace.count_end()
    time.sleep(WINDOW * 1.5)

    assert pace.ahead(50) == 0


def test_enough_is_prefetched_for_quick_handlers() -> None:
    pace = Pace()
    start = time.monotonic()
    for _ in range(1_000):
        pace.count_end()
    time.sleep(WINDOW * 1.5)

    ahead = pace.ahead(500)
    assert 0 < ahead <= 1_000 / (time.monotonic() - start) * CLAIM_SECONDS * 1.2


def test_no_more_is_claimed_ahead_than_may_run_at_once() -> None:
    pace = Pace()
    for _ in range(100_000):
        pace.count_end()
    time.sleep(WINDOW * 1.5)

    assert pace.ahead(50) == 50
