"""Where the system runs: regions, the way between them, and how one takes over from another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from outlast.blueprint.value import Age, AwsRegion, Count, Form, Name, Part, Seconds

Strategy = Literal["backup_restore", "pilot_light", "warm_standby", "active_active"]
"""How a lost region is made good: from backups · data there, nothing running · all of it there and running small or
whole · every region serves."""


class Region(msgspec.Struct, frozen=True):
    """``{aws: eu-central-1, zones: 3, share: 100%}``: one region."""

    aws: AwsRegion | None = None
    """The region of AWS; None: not on AWS."""
    zones: Count = 3
    """Availability zones that are used."""
    share: Part | None = None
    """Its part of the work while all is well; None: what others leave, to the home, or equal parts if active_active."""
    running: Part = 1.0
    """How much of the capacity that the whole work needs runs there while all is well."""
    journal_only: bool = False
    """Whether it only holds a copy of the journal, to make the majority of strong consistency."""


class Probe(msgspec.Struct, frozen=True):
    """``{every: 10s, fail_after: 3, observers: 3}``: how the edge finds out that a region is away."""

    every: Seconds = 10.0
    """The time between two looks of an observer."""
    fail_after: Count = 3
    """Looks in a row that must fail."""
    observers: Count = 3
    """Places outside the regions that look; a majority of them decides."""


class Edge(msgspec.Struct, frozen=True):
    """``{host: support.example.com, ttl: 20s, probe: {…}}``: how clients find the region that serves."""

    host: str
    """The name that clients look up."""
    ttl: Seconds = 60.0
    """How long clients may keep the answer of the name service."""
    switch: Literal["health_checks", "routing_controls", "records"] = "health_checks"
    """What sends clients elsewhere. The first two were set up before; `records` are changed by a control plane."""
    probe: Probe = Probe()
    """How it finds out that a region is away."""


class Failover(msgspec.Struct, frozen=True):
    """``{mode: automatic, when: observers_agree, max_lag: 5s}``: who decides that another region takes over."""

    mode: Annotated[Literal["automatic", "manual"], Form.ALONE] = "manual"
    """automatic: nobody is asked, unless more than `max_lag` would be lost · manual: a person decides."""
    when: Literal["observers_agree"] = "observers_agree"
    """What must be so before it happens by itself."""
    max_lag: Age | None = None
    """The replication lag above which a person is asked all the same; None: any lag is accepted."""
    takes: Seconds = 10.0
    """How long the taking over itself lasts, once decided."""


class Failback(msgspec.Struct, frozen=True):
    """``{mode: manual, after_reconcile: true}``: who decides that the home region serves again."""

    mode: Annotated[Literal["automatic", "manual"], Form.ALONE] = "manual"
    """manual: a person decides."""
    after_reconcile: bool = True
    """Whether what only the lost region had must be settled before."""


class Regions(msgspec.Struct, frozen=True):
    """``{strategy: warm_standby, home: {aws: eu-central-1}, standby: {aws: eu-west-1}}``; more regions by any name."""

    home: Region
    """The region that work belongs to."""
    standby: Region | None = None
    """The region that takes over; None: no region by this name."""
    strategy: Strategy = "backup_restore"
    """How a lost region is made good."""
    residency: Name | None = None
    """The geography that no data may leave, such as ``eu``: sessions, prompts, logs, traces, backups; None: any."""
    edge: Edge | None = None
    """None: clients know the address of a region."""
    failover: Failover = Failover()
    """Who decides that another region takes over."""
    failback: Failback = Failback()
    """Who decides that the home region serves again."""
    more: Annotated[Mapping[Name, Region], Form.REST] = {}
    """Further regions, by a name of your own."""

    def all(self) -> dict[str, Region]:
        """Every region by its name in the file, the home first."""
        return {"home": self.home, **({"standby": self.standby} if self.standby else {}), **self.more}
