"""Backups: what is copied to where it cannot be destroyed together with the original, and whether that is tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from outlast.blueprint.value import Name, Seconds

Calendar = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """``{point_in_time: 35d, full_every: 24h, copies: [standby, vault], lock: 30d, test_restore: weekly}``."""

    point_in_time: Seconds | None = None
    """How far back any instant can be restored; None: only whole copies can."""
    full_every: Seconds | None = None
    """The time between two whole copies; None: none are made."""
    keep: Seconds | None = None
    """How long a whole copy is kept; None: as `point_in_time`, and else 35 days."""
    versions: Seconds | None = None
    """How long an object's earlier versions are kept; None: there is only the latest."""
    places: Mapping[Name, str] = {}
    """Where `outlast up` writes them: ``home``, and by name of `copies`: a directory or ``s3://bucket/prefix``."""
    copies: tuple[Name, ...] = ()
    """Where copies lie besides: ``standby`` and other names of ``regions:``, ``vault``: another account."""
    lock: Seconds | None = None
    """How long nobody can delete a copy; None: whoever has the rights can."""
    test_restore: Calendar | None = None
    """How often a copy is restored and looked at; None: never."""
    restore_takes: Seconds | None = None
    """How long a restore lasts; None: not known."""
