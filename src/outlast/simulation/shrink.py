"""The smallest schedule that still breaks the same rule.

Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002).
Leaving a fault out changes whose turn it is from there on, so each smaller schedule is tried with a few seeds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from outlast.simulation.child import Case, simulate
from outlast.simulation.mischief import Act

seeds_per_schedule = (3, 12, 48)
"""With how many seeds a smaller schedule is tried, in the first round and in later ones."""
_far = 1_000_000_007  # seeds of a kind of their own: chance without a meaning in the sample


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``--schedule FILE`` runs: a seed for chance, workload and faults by name, acts instead of drawn ones."""

    seed: int
    workload: str
    faults: str
    acts: list[Act]
    mutant: str = ""
    violations: list[str] = []
    """What it led to when it was written down."""

    def case(self) -> Case:
        """It as a case."""
        return Case(self.seed, self.workload, self.faults, self.mutant, self.acts)


def shrink(case: Case, tries: int, told: Callable[[str], None]) -> Schedule | None:
    """The smallest schedule found within `tries` simulations that violates a rule that `case` violates; None if it
    violates nothing.
    """
    first = simulate(case).result
    if not first.violations:
        return None
    rules = _rules(first.violations)
    best = Schedule(case.seed, case.workload, case.faults, first.schedule, case.mutant, first.violations)
    spent = 1

    def fails(acts: Sequence[Act], seeds: int) -> bool:
        nonlocal best, spent
        for number in range(seeds):
            if spent >= tries:
                return False
            spent += 1
            seed = best.seed if number == 0 else case.seed + number * _far
            result = simulate(msgspec.structs.replace(case, seed=seed, acts=list(acts))).result
            if _rules(result.violations) & rules:
                best = Schedule(seed, case.workload, case.faults, list(acts), case.mutant, result.violations)
                told(f"{len(acts)} acts after {spent} simulations")
                return True
        return False

    for seeds in seeds_per_schedule:
        minimize(best.acts, functools.partial(fails, seeds=seeds))
    return best


def minimize(items: Sequence[Any], fails: Callable[[Sequence[Any]], bool]) -> list[Any]:
    """A subsequence of `items` that still `fails` and from which no single item can be left out (ddmin)."""
    left = list(items)
    if left and fails([]):
        return []
    parts = 2
    while len(left) >= 2:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            rest = left[:start] + left[start + size :]
            if rest and fails(rest):
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(len(left), parts * 2)
    return left


def _rules(violations: Sequence[str]) -> set[str]:
    return {violation.partition(":")[0] for violation in violations}
