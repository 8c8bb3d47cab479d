"""Whose runs are where: about right, bounded, and forgotten with the worker."""

from __future__ import annotations

import pytest

from outlast.cell.share import Fairness, Shares

WORKERS = [f"w{number}" for number in range(6)]


def filled(count: int, fairness: Fairness | None = None) -> Shares:
    shares = Shares(fairness)
    shares.rung("other", "b", "default", "w0", 0.0)
    for number in range(count):
        shares.rung(f"r{number}", "a", "default", WORKERS[number % 2], 0.0)
    return shares


@pytest.mark.parametrize(("count", "allowed"), [(31, 6), (32, 3)])
def test_few_runs_may_go_anywhere_and_many_to_half_of_the_workers(count: int, allowed: int) -> None:
    shares = filled(count)
    assert len(shares.allowed("a", "default", WORKERS, 1.0)) == allowed
    assert len(shares.allowed("b", "default", WORKERS, 1.0)) == 6
    assert len(shares.allowed("a", "other", WORKERS, 1.0)) == 6, "nobody else is in that pool"
    assert shares.allowed("a", "default", WORKERS[:1], 1.0) == WORKERS[:1]


def test_what_is_over_does_not_count_nor_what_was_at_a_worker_that_is_empty() -> None:
    shares = filled(64)
    shares.rung("r0", "a", "default", "w0", 0.0)  # again: it is still one
    for number in range(2, 33):
        shares.over(f"r{number}")
        shares.over(f"r{number}")
    assert len(shares.allowed("a", "default", WORKERS, 1.0)) == 3
    shares.empty("w1")
    shares.empty("w1")
    assert len(shares.allowed("a", "default", WORKERS, 1.0)) == 6


def test_it_remembers_no_more_than_its_bounds() -> None:
    shares = filled(100, Fairness(runs_max=40, agents_max=2))
    assert len(shares._runs) == 40
    for number in range(5):
        shares.rung(f"n{number}", f"agent{number}", "default", "w0", 2.0)
    assert list(shares._rung_at["default"]) == ["agent3", "agent4"]
    assert (sum(shares._runs_of.values()), sum(shares._runs_at.values())) == (40, 40)
