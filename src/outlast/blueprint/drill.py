"""Drills: what is broken on purpose and how often, under which load, and when a drill ends itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from outlast.blueprint.value import Form, Name, Rate, Seconds, Share


class DrillLoad(msgspec.Struct, frozen=True):
    """``{live: 5/s, for: 5m}``: by class of work, what arrives while a drill runs."""

    classes: Annotated[Mapping[Name, Rate], Form.REST] = {}
    """By class of ``objectives:``, what arrives."""
    lasting: Seconds = msgspec.field(default=300.0, name="for")
    """How long the load lasts."""


class StopIf(msgspec.Struct, frozen=True):
    """``{live_errors: 20%, for: 60s}``: what ends a drill before it harms."""

    errors: Annotated[Mapping[Name, Share], Form.REST] = {}
    """By class of ``objectives:``, as ``CLASS_errors``, the share of its work that fails."""
    lasting: Seconds = msgspec.field(default=60.0, name="for")
    """How long it must be so."""


class Drills(msgspec.Struct, frozen=True):
    """``{load: {live: 5/s}, weekly: [worker-crash, zone-off], monthly: [region-off]}``: judged by ``objectives:``."""

    load: DrillLoad = DrillLoad()
    """What arrives while a drill runs."""
    stop_if: StopIf = StopIf()
    """What ends a drill before it harms."""
    daily: tuple[Name, ...] = ()
    """Drills of every day."""
    weekly: tuple[Name, ...] = ()
    """Drills of every week."""
    monthly: tuple[Name, ...] = ()
    """Drills of every month."""
    quarterly: tuple[Name, ...] = ()
    """Drills of every quarter."""

    def all(self) -> tuple[str, ...]:
        """Every drill, the most frequent first."""
        return (*self.daily, *self.weekly, *self.monthly, *self.quarterly)
