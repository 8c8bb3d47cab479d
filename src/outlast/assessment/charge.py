"""One line of the bill: so much of what, for which component, where, and which promise asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from outlast.assessment.figure import Source
from outlast.assessment.price import Quote

Purpose = Literal["work", "node", "zone", "region", "corruption", "dependency"]
"""Why it is there: to do the work at all, or to survive a disruption."""
purposes: tuple[Purpose, ...] = get_args(Purpose)
Paid = Literal["infrastructure", "tokens"]


class Quantity(msgspec.Struct, frozen=True):
    """How much of something a month needs, and how that came about."""

    value: float
    text: str
    """``6 workers x 0.5 vCPU x 730 h``."""
    source: Source = "default"
    """``declared`` where all of it stands in the file; else something in it was assumed."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Quantity times price, a month."""

    component: str
    """``alarms`` and ``regions.edge`` for what belongs to no component."""
    region: str
    purpose: Purpose
    quantity: Quantity
    quote: Quote
    usd: float
    unchecked_usd: float = 0.0
    """All of it where the price was compared with no record, else nothing."""
    paid: Paid = "infrastructure"

    def __str__(self) -> str:
        checked = "" if self.quote.checked else ", unchecked"
        basis = f" ({self.quote.basis})" if self.quote.basis else ""
        return (
            f"{self.quantity.text} = {self.quantity.value:,.6g} {self.quote.unit} x {self.quote.usd:.6g} USD"
            f"{basis}{checked} = {self.usd:,.2f} USD"
        )


class Unpriced(msgspec.Struct, frozen=True):
    """Something that the estimate leaves out, and why."""

    component: str
    why: str


def charge(
    component: str, region: str, purpose: Purpose, quantity: Quantity, quote: Quote, paid: Paid = "infrastructure"
) -> Charge:
    """One line."""
    usd = quantity.value * quote.usd
    return Charge(
        component=component, region=region, purpose=purpose, quantity=quantity, quote=quote, usd=usd, paid=paid,
        unchecked_usd=0.0 if quote.checked else usd,
    )  # fmt: skip


def total(charges: Iterable[Charge]) -> float:
    """US dollars a month."""
    return sum(one.usd for one in charges)


def unchecked(charges: Iterable[Charge]) -> float:
    """How much of that rests on prices that were compared with no record of the price list."""
    return sum(one.unchecked_usd for one in charges)
