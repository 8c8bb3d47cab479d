"""Structure functions: closed forms, all cases counted, and samples, against one another."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment import structure
from outlast.assessment.structure import (
    Node,
    TooCorrelated,
    Variable,
    all_of,
    any_of,
    exact,
    fleet,
    k_of,
    leaf,
    sampled,
    tail,
)


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


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 2), min_size=1, max_size=3),
    needed=st.integers(0, 5),
    chance=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
)
def test_a_fleet_is_its_instances_in_their_zones_whoever_shares_these(
    counts: list[int], needed: int, chance: float
) -> None:
    zones = [leaf("zone", str(i)) for i in range(len(counts))]
    instances = [all_of([leaf("part", f"{i}.{j}"), zones[i]]) for i, count in enumerate(counts) for j in range(count)]
    one = fleet(needed, [(("zone", str(i)), count) for i, count in enumerate(counts)], chance, ("fleet",))
    many = k_of(needed, instances) if len(instances) != 1 or needed != 1 else instances[0]
    up = {("part", f"{i}.{j}"): chance for i in range(3) for j in range(2)}
    up |= {("zone", str(i)): 0.8 - 0.1 * i for i in range(3)}
    beside = any_of([zones[0], all_of(zones)])
    for build in (lambda node: node, lambda node: all_of([node, beside]), lambda node: k_of(1, [node, zones[-1]])):
        assert exact(build(one), up) == pytest.approx(counted(build(many), up), abs=1e-12)


def test_samples_of_a_fleet_agree_with_the_exact_sum() -> None:
    zones = [(("zone", name), 2) for name in "abc"]
    node = all_of([fleet(4, zones, 0.9, ("one",)), fleet(3, zones, 0.8, ("two",)), leaf("zone", "a")])
    up = {("zone", name): 0.9 for name in "abc"}
    found, error = sampled(node, up, seed=5)
    assert abs(found - exact(node, up)) <= 5 * error


@pytest.mark.parametrize(
    ("needed", "count", "chance"), [(3, 4, 0.9), (1, 1, 0.5), (0, 0, 0.5), (5, 4, 0.9), (40, 50, 0.8)]
)
def test_the_tail_is_the_binomial_sum(needed: int, count: int, chance: float) -> None:
    expected = sum(math.comb(count, i) * chance**i * (1 - chance) ** (count - i) for i in range(needed, count + 1))
    assert tail(needed, count, chance) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("needed", [1970, 1980, 1990])
def test_the_tail_of_very_many_is_near_the_sum(needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    summed = tail.__wrapped__(needed, 2000, 0.99)
    monkeypatch.setattr(structure, "instances_summed_max", 100)
    assert tail.__wrapped__(needed, 2000, 0.99) == pytest.approx(summed, abs=0.02)
    assert tail.__wrapped__(990_000_000, 1_000_000_000, 0.995) == 1.0


def test_parts_of_one_shape_are_computed_once() -> None:
    """A thousand services of three instances in three zones that they share: exact, and far below the bound."""
    zones = [(("zone", name), 1) for name in "abc"]
    node = all_of([fleet(2, zones, 0.99, ("fleet", str(i))) for i in range(1000)])
    up = {("zone", name): 0.999 for name in "abc"}
    alone = [tail(2, left, 0.99) ** 1000 for left in range(4)]
    expected = sum(math.comb(3, i) * 0.999**i * 0.001 ** (3 - i) * alone[i] for i in range(4))
    assert exact(node, up) == pytest.approx(expected)


@given(needed=st.integers(0, 3), shape=st.sampled_from(["either", "both", "two of three"]))
@settings(deadline=None)
def test_a_fleet_that_several_branches_stand_on_is_one(needed: int, shape: str) -> None:
    zones = [leaf("zone", str(i)) for i in range(2)]
    many = k_of(needed, [all_of([leaf("part", str(i)), zones[i % 2]]) for i in range(3)])
    one = fleet(needed, [(("zone", "0"), 2), (("zone", "1"), 1)], 0.7, ("fleet",))
    up = {("zone", str(i)): 0.8 - 0.1 * i for i in range(2)} | {("part", str(i)): 0.7 for i in range(3)}
    up |= {("own", str(i)): 0.6 for i in range(3)}

    def built(shared: Node) -> Node:
        branches = [all_of([leaf("own", str(i)), shared]) for i in range(2)]
        if shape == "two of three":
            return k_of(2, [*branches, any_of([leaf("own", "2"), zones[1]])])
        return any_of(branches) if shape == "either" else all_of(branches)

    assert exact(built(one), up) == pytest.approx(counted(built(many), up), abs=1e-12)
    found, error = sampled(built(one), up, samples=50_000)
    assert abs(found - exact(built(one), up)) <= 5 * error + 1e-9


def test_what_is_often_away_is_sampled_less_often() -> None:
    rarely, often = all_of(leaves(50)), all_of(leaves(500))
    assert structure.samples_for(rarely, each(rarely, 0.999)) == structure.samples_default
    assert structure.samples_for(often, each(often, 0.5)) == structure.samples_min
    some = structure.samples_for(often, each(often, 0.98))
    assert some * 500 * 0.02 == pytest.approx(structure.draws_max, rel=0.01)


def test_a_fleet_is_looked_at_after_the_zones_that_it_stands_in() -> None:
    zone, up = leaf("zone", "a"), {("zone", "a"): 0.8, ("part", "0"): 0.7, ("own", "0"): 0.6, ("own", "1"): 0.5}

    def built(shared: Node) -> Node:
        return any_of([all_of([leaf("own", "0"), shared, zone]), all_of([leaf("own", "1"), shared, any_of([zone])])])

    one = fleet(1, [(("zone", "a"), 1)], 0.7, ("fleet",))
    many = all_of([leaf("part", "0"), zone])
    assert exact(built(one), up) == pytest.approx(counted(built(many), up), abs=1e-12)
