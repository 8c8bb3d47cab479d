"""What ships: workloads and faults of whole cells and, named ``pool-…``, those of a pool of model endpoints.

Each workload goes with the faults of its own kind only.
"""

from __future__ import annotations

from pathlib import Path

from outlast.kernel.error import ConfigurationError
from outlast.simulation.data import Faults, Workload, load, names
from outlast.simulation.pool.data import PoolWorkload

_POOL = "pool-"


def is_pool(name: str) -> bool:
    """Whether a workload or faults, a name or a ``.json`` file, are for a pool."""
    return Path(name).name.startswith(_POOL)


def workloads(faults: str | None = None) -> list[str]:
    """All of them, or those that go with `faults`."""
    every = [*names("workload"), *names("pool/workload")]
    return every if faults is None else [name for name in every if is_pool(name) == is_pool(faults)]


def faults_for(workload: str) -> list[str]:
    """All that go with a workload."""
    return names("pool/fault" if is_pool(workload) else "fault")


def combinations() -> list[tuple[str, str]]:
    """Every workload with all faults that go with it."""
    return [(workload, faults) for workload in workloads() for faults in faults_for(workload)]


def read_workload(name: str) -> Workload | PoolWorkload:
    """Raises ConfigurationError if it is not there or not understood."""
    return load("pool/workload", name, PoolWorkload) if is_pool(name) else load("workload", name, Workload)


def read_faults(name: str) -> Faults:
    """Raises ConfigurationError if they are not there or not understood."""
    return load("pool/fault" if is_pool(name) else "fault", name, Faults)


def match(workload: str, faults: str) -> None:
    """Raises ConfigurationError if the two do not go together."""
    if is_pool(workload) != is_pool(faults):
        raise ConfigurationError(
            f"workload {workload!r} does not go with faults {faults!r}: it goes with {', '.join(faults_for(workload))}"
        )
