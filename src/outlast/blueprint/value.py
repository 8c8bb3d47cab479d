"""The words that the schema is written in: quantities with their unit, text with its form, and how a section reads."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

import msgspec


class Quantity(enum.Enum):
    """Marks a number that is written with its unit (`kernel/unit.py`)."""

    DURATION = "duration"
    AGE = "age"
    """A duration that may be nothing: ``0s``."""
    SIZE = "size"
    MONEY = "money"
    SPENDING = "spending"
    """Money in a time: ``9000USD/month``."""
    SHARE = "share"
    PART = "part"
    """A share that may be nothing: ``0%``."""
    TIMES = "times"
    RATE = "rate"
    NUMBER = "number"
    """Has no unit."""
    SCORE = "score"
    """Has no unit, and is more than 0 and less than 1."""


class Text(enum.Enum):
    """Marks text that must have a form."""

    NAME = "name"
    MODULE_OBJECT = "module:object"
    URL = "url"
    LOAD = "load"
    REGION = "region"
    """A region of AWS: ``eu-central-1``."""
    ACCOUNT = "account"
    """An account of AWS: twelve digits."""
    CONTACT = "contact"
    """Whom to tell: ``chat:support-ops``, ``page:first``, ``mail:ops@example.com``."""
    OBJECTIVE = "objective"
    """One promise of a class: ``live.availability``."""
    DAY = "day"
    """A day of the calendar: ``2027-03-31``."""


class Form(enum.Enum):
    """Marks what a field of a section takes beside the key of its name."""

    ALONE = "alone"
    """The section written as one value: ``needs: {writer: hard}`` is ``needs: {writer: {strength: hard}}``."""
    REST = "rest"
    """Every key that no other field has."""


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
"""May be 0."""
Seconds = Annotated[float, Quantity.DURATION]
Age = Annotated[float, Quantity.AGE]
ByteCount = Annotated[int, Quantity.SIZE]
Dollars = Annotated[float, Quantity.MONEY]
DollarsPerMonth = Annotated[float, Quantity.SPENDING]
Share = Annotated[float, Quantity.SHARE]
Part = Annotated[float, Quantity.PART]
Times = Annotated[float, Quantity.TIMES]
Rate = Annotated[float, Quantity.RATE]
"""In a second."""
Number = Annotated[float, Quantity.NUMBER]
Score = Annotated[float, Quantity.SCORE]
Name = Annotated[str, Text.NAME]
ModuleObject = Annotated[str, Text.MODULE_OBJECT]
Url = Annotated[str, Text.URL]
AwsRegion = Annotated[str, Text.REGION]
AwsAccount = Annotated[str, Text.ACCOUNT]
Contact = Annotated[str, Text.CONTACT]
Promise = Annotated[str, Text.OBJECTIVE]
Day = Annotated[str, Text.DAY]

DataClass = Literal["critical", "eventual", "rebuildable", "disposable"]
"""What data is worth. critical: a loss is an incident · eventual: a little age is fine · rebuildable: it can be made
again from something else · disposable: nobody misses it."""
