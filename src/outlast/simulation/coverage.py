"""What a sample has touched: named places reached, crashed at and frozen at; faults that bit; combinations run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from outlast.kernel.point import Place
from outlast.simulation.catalog import combinations
from outlast.simulation.sample import Totals

PLACES: tuple[Place, ...] = get_args(Place)


class Coverage(msgspec.Struct, frozen=True):
    """Counts by place, by fault, by ``workload x faults``; what was never touched stands there with 0."""

    reached: Mapping[str, int]
    crashed: Mapping[str, int]
    frozen: Mapping[str, int]
    faults: Mapping[str, int]
    combinations: Mapping[str, int]

    @classmethod
    def of(cls, totals: Totals) -> Coverage:
        """From the books of a sample."""
        bit = totals.bit
        every = [f"{workload} x {faults}" for workload, faults in combinations()]
        return cls(
            {place: totals.reached[place] for place in PLACES},
            {place: bit[f"crash at {place}"] for place in PLACES},
            {place: bit[f"freeze at {place}"] for place in PLACES},
            {fault: count for fault, count in sorted(bit.items()) if " at " not in fault},
            {one: totals.combinations[one] for one in sorted({*every, *totals.combinations})},
        )

    def missing(self) -> list[str]:
        """What was never touched, in words."""
        lines = [f"{place} was never reached" for place, count in self.reached.items() if not count]
        lines += [f"{place} was reached, nothing crashed there" for place, count in self.crashed.items()
                  if not count and self.reached[place]]  # fmt: skip
        lines += [f"{place} was reached, nothing froze there" for place, count in self.frozen.items()
                  if not count and self.reached[place]]  # fmt: skip
        return lines + [f"{one} was never run" for one, count in self.combinations.items() if not count]

    def text(self) -> str:
        """As a table."""
        rows = [f"{'place':<16} {'reached':>9} {'crashed':>8} {'frozen':>7}"]
        rows += [
            f"{place:<16} {self.reached[place]:>9} {self.crashed[place]:>8} {self.frozen[place]:>7}" for place in PLACES
        ]
        rows += ["", f"{'fault that bit':<24} {'times':>9}"]
        rows += [f"{fault:<24} {count:>9}" for fault, count in self.faults.items()]
        ran = sum(bool(count) for count in self.combinations.values())
        rows += ["", f"combinations of workload and faults: {ran} of {len(self.combinations)}"]
        return "\n".join([*rows, *self.missing()])
