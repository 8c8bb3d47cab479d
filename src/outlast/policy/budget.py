"""What a run may spend. Beyond it the run is held for a person, who may grant the same again.

Source: runaway loops are the failure that agents add to distributed systems (AWS Well-Architected, agentic lens).
"""

from __future__ import annotations

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import seconds as parse_seconds
from outlast.kernel.unit import usd as parse_usd


class Budget(msgspec.Struct, frozen=True):
    """Limits of one run; None: no limit. `time` is from its creation, in seconds or with a unit."""

    steps: int | None = None
    tokens: int | None = None
    usd: float | str | None = None
    time: float | str | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigurationError(f"budget {name} is {value}: write zero or more")
        if self.usd is not None and parse_usd(self.usd) < 0:
            raise ConfigurationError(f"budget usd is {self.usd}: write zero or more")
        if self.time is not None:
            parse_seconds(self.time)


class Spent(msgspec.Struct, frozen=True):
    """What a run has spent so far."""

    steps: int = 0
    tokens: int = 0
    usd: float = 0.0
    time_s: float = 0.0


def exceeded(budget: Budget, spent: Spent, grants: int = 0) -> str | None:
    """Which budget does not allow one step more, in words; None: go on. Each grant adds the whole budget once more."""
    times = 1 + grants
    if budget.steps is not None and spent.steps >= budget.steps * times:
        return f"budget steps: {spent.steps} of {budget.steps * times} spent"
    if budget.tokens is not None and spent.tokens >= budget.tokens * times:
        return f"budget tokens: {spent.tokens} of {budget.tokens * times} spent"
    if budget.usd is not None and spent.usd >= parse_usd(budget.usd) * times:
        return f"budget usd: {spent.usd:.6g} of {parse_usd(budget.usd) * times:.6g} USD spent"
    if budget.time is not None and spent.time_s >= parse_seconds(budget.time) * times:
        return f"budget time: {spent.time_s:.0f} of {parse_seconds(budget.time) * times:.0f} s spent"
    return None
