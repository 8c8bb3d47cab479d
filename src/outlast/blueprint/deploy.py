"""Deployments: in which order a change comes to the system, and what takes it back."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.blueprint.value import Name, Seconds


class Slice(msgspec.Struct, frozen=True):
    """``1 cell`` or ``10%``: how much of a region a change comes to first."""

    amount: float
    """Cells or workers, or a share of one."""
    unit: Literal["cell", "worker", "share"] = "cell"
    """What `amount` counts."""

    def __str__(self) -> str:
        if self.unit == "share":
            return f"{self.amount * 100:g}%"
        return f"{self.amount:g} {self.unit}{'' if self.amount == 1 else 's'}"


class Deploy(msgspec.Struct, frozen=True):
    """``{order: [standby, home], first: 1 cell, bake: 15m, roll_back_on: [turns_failing]}``."""

    order: tuple[Name, ...] = ()
    """Names of ``regions:``, in the order that a change comes to them; none: all at once."""
    first: Slice | None = None
    """What of a region has it first; None: the whole region at once."""
    bake: Seconds | None = None
    """How long it is watched before it goes on; None: it is not."""
    roll_back_on: tuple[Name, ...] = ()
    """Alarms that take it back by themselves."""
