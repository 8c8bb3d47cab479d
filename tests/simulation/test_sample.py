from __future__ import annotations

import asyncio

import pytest

from outlast.simulation.catalog import combinations, faults_for, workloads
from outlast.simulation.child import Case
from outlast.simulation.result import Result
from outlast.simulation.sample import Lane, Totals, pick, run_cases, seeds
from outlast.simulation.story import tell

CI_SEEDS = max(300, len(workloads()) * max(len(faults_for(workload)) for workload in workloads()))
"""Each combination of workload and faults at least once."""


def quiet(case: Case, result: Result, totals: Totals) -> None:
    return None


def test_seeds_in_a_row_play_every_combination() -> None:
    count = len(workloads()) * max(len(faults_for(workload)) for workload in workloads())
    for start in (1, 12_345):
        assert {(case.workload, case.faults) for case in seeds(start, count)} == set(combinations())


def test_what_is_named_stands() -> None:
    assert pick(7, "steps") == Case(7, "steps", pick(7).faults)
    assert pick(7, "steps", "none") == Case(7, "steps", "none")


async def test_one_seed_is_the_same_in_processes_with_different_hash_seeds() -> None:
    async with Lane(1) as one, Lane(2) as other:
        for case in (Case(3, "branches", "everything"), Case(4, "sessions", "network")):
            first, second = await asyncio.gather(one.simulate(case), other.simulate(case))
            assert first.result == second.result
            again = await one.simulate(case)
            assert again.result == first.result


@pytest.mark.slow(150)
@pytest.mark.timeout(900)
async def test_a_sample_of_seeds_violates_nothing_and_is_the_same_in_two_processes() -> None:
    stories: list[str] = []

    def hear(case: Case, result: Result, totals: Totals) -> None:
        if result.violations:
            stories.append(tell(case, result))

    totals = await run_cases(seeds(1, CI_SEEDS), 1, hear, twice=True)
    assert not stories, "\n\n".join(stories[:3])
    assert (totals.seeds, totals.violations, totals.disagreed) == (CI_SEEDS, 0, 0)
    assert totals.crashes > CI_SEEDS
    assert totals.virtual_s > CI_SEEDS * 5


async def test_a_violation_is_counted_and_its_seed_named() -> None:
    cases = [Case(seed, "budgets", "none", "generous-budget") for seed in (5, 4)]
    totals = await run_cases(cases, 1, quiet)
    assert totals.violations >= 2
    assert totals.first_failing_seed == 4
    assert totals.figures()["first_failing_seed"] == 4
