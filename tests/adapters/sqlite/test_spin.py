"""Staying awake pays or is given up."""

from __future__ import annotations

from outlast.adapters.sqlite.spin import Spin, spin_s_max


def attempts(spin: Spin, times: int, now: float = 0.0) -> int:
    """How many of so many chances are tried, all in vain."""
    tried = 0
    for _ in range(times):
        if spin.begin(now):
            tried += 1
            while spin.again(now):
                now += 0.00005
    return tried


def test_it_looks_again_until_its_bound() -> None:
    spin = Spin()
    now = 0.0
    assert spin.begin(now)
    while spin.again(now):
        now += 0.00005
    assert spin_s_max <= now < spin_s_max + 0.0001


def test_it_stops_at_once_when_others_took_the_core() -> None:
    spin = Spin()
    assert spin.begin(0.0)
    assert spin.again(0.00001)
    assert not spin.again(0.0003)


def test_in_vain_it_becomes_rare() -> None:
    spin = Spin()
    assert attempts(spin, 1000) < 15
    assert attempts(spin, 2560) == 10


def test_success_makes_it_eager_again() -> None:
    spin = Spin()
    attempts(spin, 1000)
    while not spin.begin(0.0):
        pass
    spin.won()
    assert all(spin.begin(0.0) for _ in range(10))
