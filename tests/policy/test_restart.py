from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.policy.restart import Deaths, Restart, after_death

POLICY = Restart()
chances = st.floats(0, 1, exclude_max=True)


def test_the_first_restart_is_immediate() -> None:
    assert after_death(POLICY, Deaths(), 0.0, 0.99)[1] == 0.0


def test_deaths_in_a_row_wait_longer_up_to_the_bound() -> None:
    deaths, bounds = Deaths(), []
    for _ in range(12):
        deaths, delay = after_death(POLICY, deaths, 0.0, 0.999_999)
        bounds.append(delay)
    assert bounds[0] == 0.0
    assert bounds[1:4] == [b for b in bounds[1:4] if b > 0]
    assert bounds == sorted(bounds)
    assert 9.9 < bounds[-1] <= POLICY.max_s


def test_a_long_life_forgives_everything() -> None:
    deaths = Deaths()
    for _ in range(20):
        deaths, _ = after_death(POLICY, deaths, 0.0, 0.5)
    deaths, delay = after_death(POLICY, deaths, POLICY.reset_after_s, 0.5)
    assert (deaths.weight, delay) == (1.0, 0.0)


def test_a_child_killed_now_and_then_is_restarted_at_once_each_time() -> None:
    deaths = Deaths()
    for _ in range(1000):
        deaths, delay = after_death(POLICY, deaths, POLICY.forgive_s, 0.99)
        assert delay == 0.0


@given(st.lists(st.tuples(st.floats(0, 1e6), chances), max_size=50))
def test_the_delay_stays_within_its_bounds_whatever_happens(lives: list[tuple[float, float]]) -> None:
    deaths = Deaths()
    for lived, chance in lives:
        before = deaths.weight
        deaths, delay = after_death(POLICY, deaths, lived, chance)
        assert 0.0 <= delay <= POLICY.max_s
        assert 1.0 <= deaths.weight <= before + 1.0


@given(st.floats(2, 1e9), chances)
def test_the_delay_is_spread_over_the_whole_interval(weight: float, chance: float) -> None:
    _, delay = after_death(POLICY, Deaths(weight), 0.0, chance)
    _, longest = after_death(POLICY, Deaths(weight), 0.0, 1.0)
    assert abs(delay - chance * longest) < 1e-9
