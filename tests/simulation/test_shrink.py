from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.simulation.sample import pick
from outlast.simulation.shrink import minimize, shrink


@given(st.lists(st.integers(0, 30), max_size=40), st.sets(st.integers(0, 30), max_size=4))
def test_what_is_needed_stays_and_nothing_else(items: list[int], needed: set[int]) -> None:
    def fails(part: Sequence[int]) -> bool:
        return needed <= set(part)

    if fails(items):
        left = minimize(items, fails)
        assert sorted(left) == sorted(needed)
        rest = iter(items)
        assert all(item in rest for item in left)  # in their order


@pytest.mark.slow
def test_a_failing_schedule_becomes_a_small_one_that_fails_by_the_same_rule() -> None:
    case = pick(2, "doubt", "zombies", mutant="trust-silence")
    shrunk = next(filter(None, (shrink(pick(seed, "doubt", "zombies", mutant=case.mutant), 50, print)
                                for seed in range(1, 20))))  # fmt: skip
    assert len(shrunk.acts) <= 3
    assert any(violation.startswith("doubled") for violation in shrunk.violations)
    assert shrunk.case().acts == shrunk.acts


def test_there_is_nothing_to_shrink_where_nothing_is_violated() -> None:
    assert shrink(pick(1, "steps", "none"), 10, print) is None
