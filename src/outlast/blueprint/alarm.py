"""Alarms: what must not stay unseen, what is done about it, and who is told."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.blueprint.value import Contact, Name, Promise, Seconds


class BurnRate(msgspec.Struct, frozen=True):
    """``14x over 1h``: so many times faster than it may be, errors use up what an objective permits."""

    times: float
    """How many times faster."""
    over: float
    """Seconds over which errors are counted."""

    def __str__(self) -> str:
        from outlast.kernel.unit import duration_text

        return f"{self.times:g}x over {duration_text(self.over)}"


class Measure(msgspec.Struct, frozen=True):
    """``4s``, ``0.85``, ``20%``, ``30/s`` or ``64KiB``: a number of any unit."""

    value: float
    """In seconds, bytes, a second, dollars, or as it is: ``20%`` is 0.2."""
    unit: Literal["", "s", "B", "/s", "%", "USD"] = ""
    """What it is a number of; ``""``: of nothing else."""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm: on an objective, on a metric, or on other alarms.

    ``{slo: live.availability, burn_rate: [14x over 1h], page: oncall}``,
    ``{metric: replication_lag, above: 4s, for: 1m, page: oncall}`` or ``{all: [turns_failing, slow_tokens]}``.
    """

    slo: Promise | None = None
    """A promise of ``objectives:``, as ``class.availability`` or ``class.turn_p99``."""
    burn_rate: tuple[BurnRate, ...] = ()
    """How fast what it permits may be used up; every one of them raises the alarm."""
    metric: Name | None = None
    """A measured value, such as ``replication_lag``."""
    of: tuple[Name, ...] = ()
    """The components where it is measured, each for itself; none: the only one that has it."""
    above: Measure | None = None
    """The value that it must not pass."""
    below: Measure | None = None
    """The value that it must not fall under."""
    outside: Literal["band"] | None = None
    """band: what is usual at that hour of the week."""
    all: tuple[Name, ...] = ()
    """Other alarms that must all be raised."""
    any: tuple[Name, ...] = ()
    """Other alarms of which one must be raised."""
    lasting: Seconds | None = msgspec.field(default=None, name="for")
    """How long it must be so; None: once is enough."""
    do: Name | None = None
    """What then happens: ``scale``, ``restart``, ``reroute``, ``roll_back_model``, ``shed_CLASS``; None: nothing."""
    page: Name | None = None
    """The one of ``escalation:`` that is told; None: nobody, it is only shown."""


class Escalation(msgspec.Struct, frozen=True):
    """``{to: "page:lead", after: 15m}``: who is told when nobody before has said that they look at it."""

    to: Contact
    """Whom, and by which way: ``chat:support-ops``, ``page:first``, ``mail:ops@example.com``."""
    after: Seconds | None = None
    """The time since the alarm; None: at once."""
