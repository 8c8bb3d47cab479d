from __future__ import annotations

from outlast.simulation.child import Outcome, simulate
from outlast.simulation.coverage import PLACES, Coverage
from outlast.simulation.sample import Totals, pick


def covered(*seeds: int) -> Coverage:
    totals = Totals()
    for seed in seeds:
        case = pick(seed, "doubt", "everything")
        outcome: Outcome = simulate(case)
        totals.take(case, outcome)
    return Coverage.of(totals)


def test_places_faults_and_combinations_are_counted() -> None:
    coverage = covered(1, 2, 3)
    assert coverage.reached["intent.after"] > 0
    assert set(coverage.crashed) == set(coverage.frozen) == set(PLACES)
    assert sum(coverage.faults.values()) > 0
    assert coverage.combinations["doubt x everything"] == 3


def test_what_was_never_touched_is_said() -> None:
    missing = covered(1).missing()
    assert "timer.set was never reached" in missing
    assert "sessions x none was never run" in missing
    assert "timer.set" in covered(1).text()
