"""What came of one seed."""

from __future__ import annotations

import msgspec

from outlast.simulation.mischief import Act


class Result(msgspec.Struct, frozen=True):
    """What came of a seed."""

    seed: int
    workload: str
    faults: str
    violations: list[str]
    digest: str
    virtual_s: float
    callbacks: int
    events: int
    crashes: int
    reached: dict[str, int]
    bit: dict[str, int]
    schedule: list[Act]
    trace: list[str]
