from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from outlast.drill.plan import deal, faults, kill_kinds, quota


@given(st.integers(0, 200), st.integers())
def test_a_plan_has_all_kills_in_equal_parts_one_of_each_other_fault_and_ends_with_the_supervisor(
    kills: int, seed: int
) -> None:
    planned = faults(kills, seed)
    counts = Counter(planned)
    assert sum(counts[kind] for kind in kill_kinds) == kills
    assert max(counts[kind] for kind in kill_kinds) - min(counts[kind] for kind in kill_kinds) <= 1
    assert counts["freeze"] == counts["writer"] == counts["supervisor"] == 1
    assert planned[-1] == "supervisor"
    if kills:
        assert next(kind for kind in planned if kind in kill_kinds) == "crash_point"
    assert planned == faults(kills, seed)


def test_another_seed_is_another_plan() -> None:
    assert len({tuple(faults(12, seed)) for seed in range(20)}) > 10


@given(st.integers(0, 60), st.integers(0, 60), st.integers())
def test_dealing_loses_nothing_and_spreads_both_kinds(refunds: int, others: int, seed: int) -> None:
    dealt = deal([("r", i) for i in range(refunds)], [("o", i) for i in range(others)], seed)
    assert sorted(dealt) == sorted([("o", i) for i in range(others)] + [("r", i) for i in range(refunds)])
    assert dealt == deal([("r", i) for i in range(refunds)], [("o", i) for i in range(others)], seed)
    for end in range(len(dealt) + 1):
        found = sum(kind == "r" for kind, _ in dealt[:end])
        assert abs(found - end * refunds / max(1, len(dealt))) <= 1.5


@given(st.integers(0, 500), st.integers(1, 40))
def test_quotas_grow_and_keep_some_load_for_after_the_last_fault(tickets: int, total: int) -> None:
    quotas = [quota(tickets, done, total) for done in range(total)]
    assert quotas == sorted(quotas)
    assert all(0 <= one <= tickets for one in quotas)
    if tickets > total:
        assert quotas[0] > 0
        assert quotas[-1] < tickets
