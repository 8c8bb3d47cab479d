from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import ConfigurationError
from outlast.policy.retry import Retry, retry

chances = st.floats(0, 1, exclude_max=True)
retries = st.builds(
    lambda attempts, first, more: Retry(attempts, first, first + more),
    st.integers(1, 1000), st.floats(0, 100), st.floats(0, 1000),
)  # fmt: skip


@given(retries, st.integers(1, 2000), chances)
def test_a_delay_is_within_its_bound_and_there_is_none_behind_the_last_attempt(
    policy: Retry, failed: int, chance: float
) -> None:
    delay = policy.delay_s(failed, chance)
    if failed >= policy.attempts:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= min(policy.max_s, policy.first_s * 2.0 ** min(failed - 1, 60))


@given(retries, st.integers(1, 2000), chances, st.floats(0, 1e6))
def test_never_less_is_waited_than_was_asked_for(policy: Retry, failed: int, chance: float, asked: float) -> None:
    delay = policy.delay_s(failed, chance, asked)
    assert delay is None or delay >= asked


@given(retries, chances)
def test_bounds_double_until_the_largest(policy: Retry, chance: float) -> None:
    delays = [policy.delay_s(n, 0.999) for n in range(1, min(policy.attempts, 40))]
    assert all(a is not None and b is not None and a <= b + 1e-9 for a, b in itertools.pairwise(delays))


@pytest.mark.parametrize("wrong", [0, -1, 1001, Retry(3, -1.0), Retry(3, 2.0, 1.0)])
def test_what_is_not_possible_is_refused(wrong: Retry | int) -> None:
    with pytest.raises(ConfigurationError, match="is not possible: attempts 1 to 1000, 0 <= first_s <= max_s"):
        Retry.of(wrong, Retry())


def test_a_number_is_attempts_and_nothing_is_the_default() -> None:
    default = Retry(7, 1.0, 2.0)
    assert Retry.of(None, default) is default
    assert Retry.of(2, default) == Retry(2, 1.0, 2.0)
    assert retry(5, "100ms", "10s") == Retry(5, 0.1, 10.0)
    with pytest.raises(ConfigurationError):
        retry(5, "10s", "1s")
