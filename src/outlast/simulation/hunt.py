"""Whether the simulation would see a bug: each mutant is run from seed to seed until a rule is violated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec

from outlast.simulation.mutation.patch import Mutant
from outlast.simulation.sample import Lane, pick

seeds_max = 300
"""Within so many seeds every mutant must be caught."""


class Caught(msgspec.Struct, frozen=True):
    """How soon a mutant was caught, and by what: `seeds` were tried (0: not caught), the last one says `violation`."""

    name: str
    bug: str
    seeds: int = 0
    seed: int = 0
    workload: str = ""
    faults: str = ""
    violation: str = ""


async def hunt(
    mutants: Iterable[Mutant],
    jobs: int,
    told: Callable[[Caught], None],
    *,
    start: int = 1,
    limit: int = seeds_max,
    anywhere: bool = False,
    hinted: bool = False,
) -> list[Caught]:
    """Try each mutant with the seeds from `start`, at most `limit`, until one violates a rule.

    Each runs with the workload and faults that the mutant names; `anywhere`: with those that each seed picks. `hinted`:
    a seed that a mutant says it was once shown by is tried before all others, which says nothing of how soon it is
    caught. Raises ChildDied: a mutant that ends the simulator itself is not caught, it is badly written.
    """
    line = iter(mutants)
    found: list[Caught] = []

    async def work() -> None:
        for mutant in line:
            async with Lane() as lane:
                caught = await _catch(mutant, lane, _seeds(mutant, start, limit, hinted), anywhere)
            found.append(caught)
            told(caught)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, jobs)):
            group.create_task(work())
    return found


def _seeds(mutant: Mutant, start: int, limit: int, hinted: bool) -> Iterator[int]:
    if hinted and mutant.shown_by:
        yield mutant.shown_by
    yield from range(start, start + limit)


async def _catch(mutant: Mutant, lane: Lane, seeds: Iterable[int], anywhere: bool) -> Caught:
    named = (None, None) if anywhere else (mutant.workload, mutant.faults)
    for count, seed in enumerate(seeds, 1):
        case = pick(seed, *named, mutant=mutant.name)
        violations = (await lane.simulate(case)).result.violations
        if violations:
            return Caught(
                mutant.name, mutant.bug, count, case.seed, case.workload, case.faults, _telling(violations)[:200]
            )
    return Caught(mutant.name, mutant.bug)


def _telling(violations: list[str]) -> str:
    """The one that says most: that something did not end, or that clients gave up, is often only what follows."""
    return next((text for text in violations if not text.startswith(("ends:", "escape:"))), violations[0])


def figures(found: list[Caught]) -> dict[str, object]:
    """What ``--mutants --json`` prints."""
    ordered = sorted(found, key=lambda caught: caught.name)
    return {
        "mutants_total": len(found),
        "mutants_caught": sum(bool(caught.seeds) for caught in found),
        "seeds_to_catch": {caught.name: caught.seeds or None for caught in ordered},
        "caught": [msgspec.to_builtins(caught) for caught in ordered],
    }
