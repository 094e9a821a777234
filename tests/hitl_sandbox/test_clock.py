import time

from hitl_sandbox.clock import SandboxClock, iso, iso_milliseconds


def test_a_clock_that_stands_still_moves_only_when_moved() -> None:
    clock = SandboxClock(speed=0, start=100)

    clock.move_to(160)
    clock.move_to(120)

    assert clock.now() == 160
    assert clock.real_seconds_until(161) is None
    assert clock.real_seconds_until(160) == 0


def test_a_fast_clock_passes_faster() -> None:
    clock = SandboxClock(speed=1000, start=0)

    time.sleep(0.02)

    assert clock.now() >= 20
    wait = clock.real_seconds_until(clock.now() + 1000)
    assert wait is not None
    assert 0.9 < wait <= 1.0


def test_a_change_of_speed_does_not_make_time_jump() -> None:
    clock = SandboxClock(speed=0, start=50)

    clock.set_speed(1)

    assert 50 <= clock.now() < 51


def test_times_are_written_as_the_vendor_does() -> None:
    assert iso(1_790_000_400.9) == "2026-09-21T14:20:00Z"
    assert iso_milliseconds(1_790_000_400.5) == "2026-09-21T14:20:00.500Z"
