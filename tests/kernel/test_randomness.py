from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.randomness import derived


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_equal_parts_give_equal_numbers(parts: list[str]) -> None:
    assert [derived(*parts).random() for _ in range(2)] == [derived(*parts).random()] * 2


def test_numbers_are_the_same_in_every_release() -> None:
    assert derived("random", "run_1", "3").random() == 0.19655888919465114
    assert derived("uuid", "run_1", "1").getrandbits(128) == 280805055929541886678317388716128347692
