"""Ladders: the cheapest rung within every limit, and the best there is where none is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.assessment.choice import Choice, Estimated, Limit, Rung, brief, choose


def ladder(*rungs: tuple[float, ...]) -> list[Rung]:
    return [
        Rung(str(i), tuple(Estimated(seconds) for seconds in found), lambda blueprint: blueprint)
        for i, found in enumerate(rungs)
    ]


def chosen(rungs: list[Rung], *limits: float) -> Choice:
    return choose("which", "it", rungs, [Limit("live", "zone", "rto", seconds) for seconds in limits])


def test_the_first_rung_within_every_limit_is_taken() -> None:
    rungs = ladder((100, 0), (10, 50), (10, 5), (1, 1))
    assert chosen(rungs, 100, 50).index == 0
    assert chosen(rungs, 99, 50).index == 1
    assert chosen(rungs, 99, 49).index == 2
    assert chosen(rungs, 1, 1).index == 3


def test_where_no_rung_is_within_a_limit_the_best_one_is_and_it_is_said() -> None:
    choice = chosen(ladder((100, 9), (10, 9), (10, 1)), 5, 9)
    assert choice.index == 1  # the third is no better for what cannot be met
    assert [(limit.seconds, given.seconds) for limit, given in choice.unmet()] == [(5, 10)]


def test_without_a_limit_the_cheapest_is_taken() -> None:
    assert choose("which", "it", ladder((), ()), []).index == 0


seconds = st.sampled_from([0.0, 1.0, 5.0, 60.0, 3600.0, float("inf")])


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6), seconds, seconds, seconds)
def test_a_looser_limit_never_leads_further_down(
    rungs: list[tuple[float, float]], one: float, other: float, looser: float
) -> None:
    made = ladder(*rungs)
    assert chosen(made, max(one, looser), other).index <= chosen(made, one, other).index


def test_times_are_short() -> None:
    assert [brief(value) for value in (0, 0.25, 50, 160, 4710, 90000, float("inf"))] == [
        "0s", "250ms", "50s", "2.67m", "1.31h", "1.04d", "never",
    ]  # fmt: skip
