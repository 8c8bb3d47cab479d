"""The deliberate bugs that the simulation must see, by name. `hunt.py` runs them."""

from __future__ import annotations

from outlast.kernel.error import ConfigurationError
from outlast.simulation.mutation import damage, journal, pool, run, step
from outlast.simulation.mutation.patch import Mutant

_ALL = (*journal.MUTANTS, *step.MUTANTS, *run.MUTANTS, *damage.MUTANTS, *pool.MUTANTS)
MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in _ALL}


def find(name: str) -> Mutant:
    """A mutant by its name; raises ConfigurationError."""
    if name not in MUTANTS:
        raise ConfigurationError(f"mutant {name!r} is not there; there are {', '.join(MUTANTS)}")
    return MUTANTS[name]
