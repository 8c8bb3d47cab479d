"""What was provided for a bad day: backups, alarms, drills and what they showed, the way that changes come."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.figure import Figure
from outlast.assessment.place import Place, nowhere

evidence_version = 1
"""Of the lines in which drills write down what they have shown."""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """How one component's data is kept for a bad day."""

    component: str
    point_in_time_s: float | None = None
    """How far back any instant can be restored."""
    full_every_s: float | None = None
    versions_s: float | None = None
    """How long overwritten versions are kept."""
    copies: tuple[str, ...] = ()
    """Where else it lies: ``standby``, ``vault``, a region."""
    lock_s: float | None = None
    """How long nobody can delete it."""
    test_every_s: float | None = None
    """How often a restore is tried."""
    restore_s: Figure = Figure(3600.0)
    region_copies: tuple[str, ...] = ()
    """Regions where copies lie, where they are named."""
    place: Place = nowhere


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What is noticed, and what is done then."""

    name: str
    metric: str = ""
    """``turns_failing``, ``replication_lag``, ``queue_age``, ``slo:live.availability``; empty: composed of others."""
    watches: tuple[str, ...] = ()
    """Classes of work whose promises it follows."""
    of: tuple[str, ...] = ()
    """Components where its metric is measured, where that is said."""
    parts: tuple[str, ...] = ()
    """The alarms that a composite one is made of."""
    above: float | None = None
    """The threshold, in the metric's unit."""
    after_s: float = 60.0
    """Seconds from the first bad sample to the alarm."""
    page: str = ""
    do: str = ""
    place: Place = nowhere


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that is planned."""

    name: str
    proves: DisruptionKind | None = None
    subject: str = ""
    """The component it breaks; empty: whichever."""
    every_s: float | None = None
    place: Place = nowhere


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill measured."""

    v: int = evidence_version
    drill: str
    at: float
    """Seconds since 1970."""
    passed: bool
    verdict: Literal["", "passed", "failed", "invalid"] = ""
    """``invalid``: its load never ran or its fault never bit, so it shows nothing; empty: as `passed` says."""
    system: str = ""
    """The name of the system that was drilled; empty: the one whose file it lies next to."""
    disruption: DisruptionKind | None = None
    subject: str = ""
    work: str = ""
    """The class of work; empty: all."""
    rto_s: float | None = None
    """Seconds until a client's next success; None: not measured, such as where work waits."""
    rpo_s: float | None = None
    """Seconds of acknowledged work that was lost; None: not measured."""
    version: str = ""
    """The version of Outlast."""
    commit: str = ""
    """What git says of the directory of the blueprint; empty: nothing."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """How a change reaches production."""

    order: tuple[str, ...] = ()
    first: str = ""
    bake_s: float = 0.0
    roll_back_on: tuple[str, ...] = ()
    place: Place = nowhere
