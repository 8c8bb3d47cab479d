from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from outlast.simulation.catalog import combinations
from outlast.simulation.hunt import Caught, hunt, seeds_max
from outlast.simulation.mutant import MUTANTS
from outlast.simulation.mutation import pool

PARTS = 6
HUNTED = [mutant for mutant in MUTANTS.values() if mutant not in pool.MUTANTS]
"""Those of the pool are hunted in ``pool/test_run.py``, each until its own rule sees it."""
SOURCE = Path(__file__).resolve().parents[2] / "src" / "outlast"


def quiet(caught: Caught) -> None:
    return None


def test_there_are_at_least_twenty() -> None:
    assert len(MUTANTS) >= 20


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_there_only_while_it_is_on(name: str) -> None:
    mutant = MUTANTS[name]
    assert (mutant.workload, mutant.faults) in combinations()
    patches = list(mutant.patches())
    before = [vars(patch.owner)[patch.name] for patch in patches]
    with mutant.on():
        for patch, value in zip(patches, before, strict=True):
            assert vars(patch.owner)[patch.name] is not value
    assert [vars(patch.owner)[patch.name] for patch in patches] == before


@pytest.mark.slow(20)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_mutant_is_caught(part: int) -> None:
    found = await hunt(HUNTED[part::PARTS], 2, quiet, hinted=True)
    missed = [caught.name for caught in found if not caught.seeds]
    assert not missed, f"within {seeds_max} seeds nothing was violated by {missed}"


async def test_a_seed_that_showed_a_mutant_is_tried_first_where_that_is_asked_for() -> None:
    mutant = msgspec.structs.replace(MUTANTS["generous-budget"], workload="budgets", faults="none", shown_by=4)
    (nowhere,) = await hunt([mutant], 1, quiet, limit=0)
    (there,) = await hunt([mutant], 1, quiet, limit=0, hinted=True)
    assert (nowhere.seeds, there.seeds, there.seed) == (0, 1, 4)


def test_production_code_does_not_know_that_it_is_simulated() -> None:
    rooms = {path.name for path in SOURCE.iterdir()} - {"simulation", "testing.py", "__pycache__"}
    for room in rooms:
        files = [SOURCE / room] if room.endswith(".py") else (SOURCE / room).rglob("*.py")
        for path in files:
            code = path.read_text("utf-8")
            assert not re.search(r"(?m)^\s*(?:if|elif|while)\b.*simulat|import.*outlast\.simulation", code), path
