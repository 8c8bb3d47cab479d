"""Regions, how clients find one of them, and when another takes over."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.assessment.figure import Figure
from outlast.assessment.place import Place, nowhere

Strategy = Literal["single_region", "backup_restore", "pilot_light", "warm_standby", "active_active"]
Mechanism = Literal["", "health_check", "records", "arc"]


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One region of a provider, or this machine."""

    name: str
    zones: tuple[str, ...] = ()
    standby: bool = False
    share: float = 1.0
    """Of the traffic, in normal times."""
    running: float = 1.0
    """Share of the full capacity that runs there in normal times."""
    provider: str = ""
    witness: bool = False
    """Whether it only holds copies of strong stores, for a majority."""
    place: Place = nowhere


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """How clients find a region."""

    host: str = ""
    ttl_s: Figure = Figure(60.0)
    probe_every_s: Figure = Figure(30.0)
    probe_failures: int = 3
    observers: int = 1
    mechanism: Mechanism = ""
    """What moves the traffic: health checks, changed DNS records (a control plane), ARC; empty: not said."""
    place: Place = nowhere


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """When another region takes over, and the way back."""

    automatic: bool = False
    when: str = ""
    max_lag_s: float | None = None
    decide_s: Figure = Figure(900.0)
    """Seconds that a person takes to decide, where it is not automatic."""
    takes_s: Figure = Figure(10.0)
    """Seconds that the taking over lasts, once decided."""
    failback: Literal["", "manual", "automatic"] = ""
    reconciled: bool = False
    place: Place = nowhere
