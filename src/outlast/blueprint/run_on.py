"""What the system runs on: the engines of one machine, and the account and money of the cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from outlast.blueprint.value import AwsAccount, DollarsPerMonth, Form, Name

LocalEngine = Literal["sqlite", "postgres", "embedded", "memory", "files", "valkey"]


class LocalModels(msgspec.Struct, frozen=True):
    """``2 x smollm2``: how many endpoints of which model this machine serves."""

    count: int
    """How many."""
    name: str
    """Of which model."""

    def __str__(self) -> str:
        return f"{self.count} x {self.name}"


class Local(msgspec.Struct, frozen=True):
    """``{journal: sqlite, durability: power}``: the engines that this machine uses; other stores by their name."""

    journal: Literal["sqlite", "postgres", "dynamodb"] = "sqlite"
    """The two last are shared by many machines; how to reach them stands in ``stores: journal:``."""
    durability: Literal["power", "process"] = "power"
    """What an event that SQLite acknowledged survives: loss of power, or only the death of processes."""
    models: LocalModels | None = None
    """The endpoints that stand in for those of ``models:``; None: those are asked."""
    stores: Annotated[Mapping[Name, LocalEngine], Form.REST] = {}
    """By name of ``stores:``, what stands in for it here."""


class Spending(msgspec.Struct, frozen=True):
    """``{infrastructure: 9000USD/month, tokens: 40000USD/month}``: what it may cost."""

    infrastructure: DollarsPerMonth | None = None
    """All but models that are paid by the token."""
    tokens: DollarsPerMonth | None = None
    """Models that are paid by the token."""


class OnAws(msgspec.Struct, frozen=True):
    """``{account: "111122223333", vault_account: "444455556666", compute: fargate, budget: {…}}``."""

    account: AwsAccount | None = None
    """The account that it runs in."""
    vault_account: AwsAccount | None = None
    """Another account, for copies that whoever breaks into the first cannot delete."""
    compute: Literal["fargate", "ec2", "eks"] = "fargate"
    """What its processes run on."""
    budget: Spending | None = None
    """What it may cost; None: not said."""


class RunOn(msgspec.Struct, frozen=True):
    """Where it runs."""

    local: Local = Local()
    """One machine."""
    aws: OnAws | None = None
    """The cloud; None: not said."""
