from __future__ import annotations

import time

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness


async def test_the_clock_tells_both_times_and_sleeps() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 60
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() > before


def test_randomness_is_of_the_asked_size_and_within_its_interval() -> None:
    randomness = OsRandomness()
    assert [len(randomness.token(size)) for size in (1, 9, 32)] == [1, 9, 32]
    draws = [randomness.uniform() for _ in range(1000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert len(set(draws)) > 900
