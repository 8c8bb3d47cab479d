"""Structure functions: closed forms, all cases counted, and samples, against one another."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.assessment import structure
from outlast.assessment.structure import Node, TooCorrelated, Variable, all_of, any_of, exact, k_of, leaf, sampled


def leaves(count: int) -> list[Node]:
    return [leaf("part", str(i)) for i in range(count)]


def each(node: Node, share: float) -> dict[Variable, float]:
    return dict.fromkeys(node.variables, share)


def is_up(node: Node, state: dict[Variable, bool]) -> bool:
    if node.variable is not None:
        return state[node.variable]
    return sum(is_up(part, state) for part in node.parts) >= node.needed


def counted(node: Node, up: dict[Variable, float]) -> float:
    """The same by going through all states of all variables."""
    variables = sorted(node.variables)
    total = 0.0
    for values in itertools.product((True, False), repeat=len(variables)):
        state = dict(zip(variables, values, strict=True))
        if is_up(node, state):
            total += math.prod(up[one] if value else 1 - up[one] for one, value in state.items())
    return total


def test_parts_in_series_multiply() -> None:
    node = all_of(leaves(3))
    assert exact(node, each(node, 0.9)) == pytest.approx(0.9**3)


def test_parallel_parts_fail_together_only() -> None:
    node = any_of(leaves(3))
    assert exact(node, each(node, 0.9)) == pytest.approx(1 - 0.1**3)


@pytest.mark.parametrize(("needed", "count"), [(1, 2), (2, 3), (3, 5), (5, 5), (0, 4)])
def test_k_of_n_is_the_binomial_sum(needed: int, count: int) -> None:
    node = k_of(needed, leaves(count))
    share = 0.95
    expected = sum(math.comb(count, i) * share**i * (1 - share) ** (count - i) for i in range(needed, count + 1))
    assert exact(node, each(node, share)) == pytest.approx(expected)


def test_a_shared_zone_takes_both_and_is_not_counted_twice() -> None:
    zone = leaf("zone", "a")
    node = all_of([all_of([leaf("part", "1"), zone]), all_of([leaf("part", "2"), zone])])
    assert exact(node, each(node, 0.9)) == pytest.approx(0.9**3)


def test_two_of_three_over_zones_that_others_share_too() -> None:
    zones = [leaf("zone", name) for name in "abc"]
    one = k_of(2, [all_of([leaf("one", str(i)), zone]) for i, zone in enumerate(zones)])
    two = any_of([all_of([leaf("two", str(i)), zone]) for i, zone in enumerate(zones)])
    node = all_of([one, two])
    assert exact(node, each(node, 0.9)) == pytest.approx(counted(node, each(node, 0.9)))


def nodes() -> st.SearchStrategy[Node]:
    variable = st.sampled_from("abcdefg").map(leaf)

    def group(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.lists(parts, min_size=1, max_size=4).flatmap(
            lambda chosen: st.integers(0, len(chosen)).map(lambda needed: k_of(needed, chosen))
        )

    return st.recursive(variable, group, max_leaves=12)


@given(node=nodes(), shares=st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_the_exact_sum_is_that_over_all_states(node: Node, shares: list[float]) -> None:
    up = {(name,): share for name, share in zip("abcdefg", shares, strict=True)}
    assert exact(node, up) == pytest.approx(counted(node, up), abs=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    "node",
    [all_of(leaves(4)), any_of(leaves(2)), k_of(2, leaves(3)), k_of(3, [*leaves(2), *leaves(3)])],
    ids=["series", "parallel", "two of three", "shared parts"],
)
def test_samples_agree_with_the_exact_sum(node: Node, share: float) -> None:
    found, error = sampled(node, each(node, share), seed=7, samples=100_000)
    assert abs(found - exact(node, each(node, share))) <= 5 * error


def test_samples_depend_on_the_seed_alone() -> None:
    node = k_of(2, leaves(3))
    up = each(node, 0.9)
    assert sampled(node, up, seed=3) == sampled(node, up, seed=3)
    assert sampled(node, up, seed=3) != sampled(node, up, seed=4)


def test_what_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "visits_max", 100)
    shared = leaves(12)
    node = all_of([any_of([a, b]) for a, b in itertools.combinations(shared, 2)])
    with pytest.raises(TooCorrelated):
        exact(node, each(node, 0.9))
