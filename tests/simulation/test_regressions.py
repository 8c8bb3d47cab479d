"""Seeds that found bugs in the product. Seeds mean other things when the simulator changes; they are kept all the same,
and beside each bug stands the ordinary test that does not depend on a seed, where there is one.
"""

from __future__ import annotations

import pytest

from outlast.simulation.data import Faults, Workload, load
from outlast.simulation.run import run_seed

FOUND = [
    ("neighbours", "everything", 4),  # a trial worker that was silent for a while was never rung again
    ("budgets", "clocks", 3),  # a held run lost its reason when somebody only looked at it
    ("families", "disk", 681),  # a cancellation written behind the end
    ("chains", "network", 655),  # the same, behind a continuation
    ("deadlines", "everything", 416),  # a deadline ended a run whose intent was on its way
    ("doubt", "crashes", 169),  # a person was asked before what a dead executor had sent could arrive
    ("doubt", "network", 550),
    ("chains", "everything", 654),  # a cancelled run went on in its successor
    ("chains", "none", 656),  # a signal was lost between a run and its successor
    ("chains", "disk", 275),  # a signal was taken by a run and by its successor
    ("chains", "lag", 5118),  # a signal was handed on to a run that had itself continued
    ("families", "disk", 177),  # a child that was never made was in the index for ever
    ("deadlines", "disk", 37),
    ("families", "disk", 100_100),  # a child was not told of its parent's cancellation because the store was away
    ("families", "everything", 100_443),
    ("switches", "disk", 492),  # resuming an agent gave up halfway
    ("switches", "disk", 1878),  # a held run could not be redriven because a step had ended beside the hold
    ("held", "crashes", 435),  # a snapshot held what a skipped turn had changed
    ("far", "clocks", 14),  # the settle time of an executor elsewhere was counted by two hosts' clocks
    ("answers", "amnesia", 19),  # a run whose trial was a lost hint was claimed by others for ever
    ("money", "disk", 66),  # an outcome that came behind a hold left the index older than the stream
    ("waits", "network", 1_000_775),  # mail that had come late was taken for lost
    ("sessions", "upkeep", 1_000_839),
    ("families", "network", 1_019_964),  # the sweep took mail that had come before its run for a lost hint
    ("branches", "everything", 1_007_033),  # two that ended in one record were one after the other in replay
]


@pytest.mark.parametrize(("workload", "faults", "seed"), FOUND)
def test_a_seed_that_found_a_bug(workload: str, faults: str, seed: int) -> None:
    result = run_seed(seed, load("workload", workload, Workload), load("fault", faults, Faults))
    assert result.violations == []
