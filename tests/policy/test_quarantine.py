from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.policy.quarantine import Quarantine, decide

POLICY = Quarantine()


@given(st.integers(0, 2), st.integers(0, 3), st.booleans())
def test_below_the_bound_a_run_is_claimed(fruitless: int, tried: int, alone: bool) -> None:
    assert decide(POLICY, fruitless, tried, alone) == "claim"


@given(st.integers(3, 1000))
def test_a_suspect_is_tried_alone_twice_and_then_quarantined(fruitless: int) -> None:
    for trials in (0, 1):
        assert decide(POLICY, fruitless, trials, alone=False) == "trial"
        assert decide(POLICY, fruitless, trials, alone=True) == "claim"
    assert decide(POLICY, fruitless, 2, alone=False) == "quarantine"
    assert decide(POLICY, fruitless, 2, alone=True) == "quarantine"


@given(st.lists(st.booleans(), max_size=40))
def test_nobody_is_quarantined_without_two_trials_alone_in_the_same_row_of_claims(progress: list[bool]) -> None:
    """Claims in a row, each followed by progress or by death; a trial is granted whenever it is asked for."""
    fruitless, tried = 0, 0
    for makes_progress in progress:
        decision = decide(POLICY, fruitless, tried, alone=False)
        if decision == "quarantine":
            assert tried == POLICY.trials_alone_max
            assert fruitless >= POLICY.claims_without_progress_max + tried
            return
        tried += decision == "trial"
        fruitless, tried = (0, 0) if makes_progress else (fruitless + 1, tried)
