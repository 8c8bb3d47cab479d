"""What an endpoint says of itself: what it is, and how much it has to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec


class Told(msgspec.Struct, frozen=True):
    """What a server says in its answers about what answered: empty where it said nothing."""

    model: str = ""
    """The name of the model: often with its version."""
    fingerprint: str = ""
    """``system_fingerprint``: the version of the server and of how it is set up."""


class Report(msgspec.Struct, frozen=True):
    """What an endpoint says of its own load. Shares are of 1; None: it does not say."""

    source: str
    """Whose numbers these are: ``vllm``, ``sglang``, ``llama.cpp``, ``tgi``, ``nvml`` …"""
    gpu: float | None = None
    """Share of the time that its GPU was busy."""
    slots: float | None = None
    """Share of its KV cache, or of its slots, that is used."""
    memory: float | None = None
    """Share of its GPU's memory that is used."""
    running: float | None = None
    """Requests that it works on, whoever sent them."""
    waiting: float | None = None
    """Requests that wait in it."""

    @property
    def fullness(self) -> float:
        """How full it is of requests, 0 to 1: its cache or slots, or the share of its requests that wait."""
        waiting = self.waiting or 0.0
        return max(self.slots or 0.0, waiting / ((self.running or 0.0) + waiting) if waiting else 0.0)


class Reporter(Protocol):
    """One source of reports about one endpoint."""

    async def report(self, timeout_s: float) -> Report:
        """What it says now, within so many seconds. Raises EndpointError."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


def merged(reports: Sequence[Report]) -> Report:
    """What several sources say of one endpoint: of each number the highest, the names of all."""
    return Report(
        source="+".join(report.source for report in reports),
        gpu=_highest(report.gpu for report in reports),
        slots=_highest(report.slots for report in reports),
        memory=_highest(report.memory for report in reports),
        running=_highest(report.running for report in reports),
        waiting=_highest(report.waiting for report in reports),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
