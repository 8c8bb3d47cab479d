from __future__ import annotations

import asyncio

import pytest

from outlast.kernel.error import ConfigurationError
from outlast.simulation.catalog import combinations, faults_for, is_pool, match, read_faults, read_workload, workloads
from outlast.simulation.child import Case, simulate
from outlast.simulation.data import names
from outlast.simulation.mutation.pool import MUTANTS
from outlast.simulation.pool.data import PoolWorkload
from outlast.simulation.result import Result
from outlast.simulation.sample import Lane, Totals, run_cases
from outlast.simulation.story import tell

pytestmark = pytest.mark.timeout(600)

SEEDS_EACH = 2
POOLS = [(workload, faults) for workload, faults in combinations() if is_pool(workload)]
OWN_RULES = {
    "two-winners": "single", "retry-after-commit": "single", "free-retries": "amplified", "free-hedges": "amplified",
    "fallback-begins-anew": "in_time", "fallback-unmarked": "degraded", "agents-not-told": "fallback",
    "open-for-ever": "recovered", "loser-goes-on": "loser", "place-kept": "recovered", "deaf-to-retry-after": "rested",
    "hedge-on": "hedged", "answer-thrown-away": "lost", "hedges-charged-twice": "counted", "no-limit": "limited",
    "no-deadline": "in_time",
}  # fmt: skip


def test_each_workload_goes_with_the_faults_of_its_kind() -> None:
    assert {name for name in workloads() if is_pool(name)} == set(names("pool/workload"))
    assert workloads("pool-errors") == names("pool/workload")
    assert faults_for("steps") == names("fault")
    assert all(isinstance(read_workload(workload), PoolWorkload) for workload, _ in POOLS)
    assert [read_faults(name).name for name in names("pool/fault")] == names("pool/fault")
    with pytest.raises(ConfigurationError, match="goes with pool-breaks"):
        match("pool-streams", "none")
    with pytest.raises(ConfigurationError, match="does not go with"):
        simulate(Case(1, "steps", "pool-errors"))


@pytest.mark.slow(45)
async def test_seeds_of_every_combination_violate_nothing_and_are_the_same_in_two_processes() -> None:
    stories: list[str] = []

    def hear(case: Case, result: Result, totals: Totals) -> None:
        if result.violations:
            stories.append(tell(case, result))

    cases = [Case(seed, *pair) for pair in POOLS for seed in range(1, SEEDS_EACH + 1)]
    totals = await run_cases(cases, 1, hear, twice=True)
    assert not stories, "\n\n".join(stories[:3])
    assert (totals.seeds, totals.violations, totals.disagreed) == (len(cases), 0, 0)
    assert {"endpoint down", "endpoint error", "endpoint limit", "endpoint full", "endpoint cut after", "freeze pool",
            "endpoint slow first", "freeze endpoint", "flap"} <= set(totals.bit)  # fmt: skip


@pytest.mark.parametrize("name", [mutant.name for mutant in MUTANTS])
async def test_a_bug_of_the_pool_is_caught_by_its_own_rule(name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    async with Lane() as lane:
        for seed in (mutant.shown_by or 1, *range(1, 61)):
            outcome = await lane.simulate(Case(seed, mutant.workload, mutant.faults, name))
            if OWN_RULES[name] in {found.split(":")[0] for found in outcome.result.violations}:
                return
    pytest.fail(f"60 seeds of {mutant.workload} x {mutant.faults} did not show {name}")


def test_a_schedule_without_faults_is_not_the_one_that_the_seed_draws() -> None:
    drawn = simulate(Case(7, "pool-streams", "pool-errors"))
    calm = simulate(Case(7, "pool-streams", "pool-errors", acts=[]))
    assert drawn.result.schedule
    assert not calm.result.schedule
    assert not calm.result.violations
    again = simulate(Case(7, "pool-streams", "pool-errors", acts=drawn.result.schedule))
    assert again.result.digest == drawn.result.digest != calm.result.digest


async def test_another_seed_is_another_simulation() -> None:
    async with Lane(1) as one, Lane(2) as other:
        case = Case(11, "pool-crowded", "pool-everything", trace=True)
        first, second = await asyncio.gather(one.simulate(case), other.simulate(case))
        third = await one.simulate(Case(12, "pool-crowded", "pool-everything"))
    assert first.result == second.result
    assert any("request" in line for line in first.result.trace)
    assert first.result.digest != third.result.digest
