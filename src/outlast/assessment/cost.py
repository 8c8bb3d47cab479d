"""What a system costs in a month: by component, by the promise that asks for it, and with each strategy for a region.

An estimate of a design, from list prices and the load that the blueprint states; every line shows its arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from outlast.assessment.charge import Charge, Purpose, Unpriced, purposes, total, unchecked
from outlast.assessment.choice import brief
from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption, DisruptionKind
from outlast.assessment.facts import Facts
from outlast.assessment.meter import Meter
from outlast.assessment.price import PriceBook
from outlast.assessment.system import System
from outlast.assessment.tariff import charges
from outlast.assessment.variant import with_strategy
from outlast.blueprint.region import Strategy
from outlast.blueprint.schema import Blueprint

_ASKS: Mapping[Purpose, tuple[DisruptionKind, ...]] = {
    "work": (),
    "node": ("process", "node"),
    "zone": ("zone",),
    "region": ("region",),
    "corruption": ("corruption",),
    "dependency": ("dependency",),
}
_compared: tuple[Strategy, ...] = ("backup_restore", "pilot_light", "warm_standby")


class ComponentCost(msgspec.Struct, frozen=True):
    """US dollars a month for one component, and for what of it."""

    component: str
    usd: float
    unchecked_usd: float
    """How much of it rests on unchecked prices, here and everywhere."""
    by_purpose: Mapping[Purpose, float]


class PromiseCost(msgspec.Struct, frozen=True):
    """What surviving one kind of disruption costs, and who asks for it."""

    purpose: Purpose
    usd: float
    unchecked_usd: float
    asked_by: tuple[str, ...]
    """``live: rto 15s, rpo 0ms``; empty, and not for the work itself: no objective asks for it."""


class ClassRecovery(msgspec.Struct, frozen=True):
    """How one class of work comes back when its home region is lost."""

    work: str
    rto_s: float | None
    """None: never."""
    rpo_s: float | None
    """None: everything may be lost."""
    met: bool | None
    """Whether what it promises is met by design; None: it promises nothing for a region."""


class StrategyCost(msgspec.Struct, frozen=True):
    """One way to answer the loss of a region."""

    strategy: Strategy
    declared: bool
    usd: float
    unchecked_usd: float
    infrastructure_usd: float
    recovery: tuple[ClassRecovery, ...]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, in US dollars a month of 730 hours."""

    system: str
    file: str
    as_of: str
    """The date of the price file; what in it was checked says when."""
    usd: float
    infrastructure_usd: float
    tokens_usd: float
    unchecked_usd: float
    """How much of it rests on prices that were compared with no record of the price list."""
    unchecked_infrastructure_usd: float
    unchecked_tokens_usd: float
    checked_on: tuple[str, ...]
    """The days of the records that the others were compared with."""
    budget_infrastructure_usd: float | None
    budget_tokens_usd: float | None
    by_component: tuple[ComponentCost, ...]
    """The dearest first."""
    by_promise: tuple[PromiseCost, ...]
    strategies: tuple[StrategyCost, ...]
    charges: tuple[Charge, ...]
    unpriced: tuple[Unpriced, ...]
    assumed: tuple[str, ...]
    note: str


def bill(blueprint: Blueprint, book: PriceBook) -> tuple[list[Charge], Meter]:
    """The lines of one blueprint's bill, and the meter that read them."""
    meter = Meter(blueprint, describe(blueprint), book)
    return list(charges(meter)), meter


def monthly(blueprint: Blueprint, book: PriceBook) -> float:
    """US dollars a month, all of it."""
    return total(bill(blueprint, book)[0])


def monthly_unchecked(blueprint: Blueprint, book: PriceBook) -> float:
    """How much of that rests on unchecked prices."""
    return unchecked(bill(blueprint, book)[0])


def estimate(blueprint: Blueprint, book: PriceBook, file: str = "outlast.yaml") -> Estimate:
    """The estimate of a blueprint."""
    lines, meter = bill(blueprint, book)
    spending = blueprint.run_on.aws.budget if blueprint.run_on.aws is not None else None
    return Estimate(
        system=blueprint.name,
        file=file,
        as_of=book.as_of,
        usd=total(lines),
        infrastructure_usd=_paid(lines, "infrastructure"),
        tokens_usd=_paid(lines, "tokens"),
        unchecked_usd=unchecked(lines),
        unchecked_infrastructure_usd=unchecked(one for one in lines if one.paid == "infrastructure"),
        unchecked_tokens_usd=unchecked(one for one in lines if one.paid == "tokens"),
        checked_on=tuple(sorted({one.quote.seen for one in lines if one.quote.checked and one.quote.seen})),
        budget_infrastructure_usd=spending.infrastructure if spending is not None else None,
        budget_tokens_usd=spending.tokens if spending is not None else None,
        by_component=tuple(_by_component(lines)),
        by_promise=tuple(_by_promise(lines, meter.system)),
        strategies=tuple(_strategies(blueprint, book)) if meter.home and lines else (),
        charges=tuple(lines),
        unpriced=tuple(meter.unpriced),
        assumed=tuple(meter.assumed),
        note=book.note,
    )


def _paid(lines: Iterable[Charge], paid: str) -> float:
    return total(one for one in lines if one.paid == paid)


def _by_component(lines: list[Charge]) -> Iterator[ComponentCost]:
    found: dict[str, list[Charge]] = {}
    for one in lines:
        found.setdefault(one.component, []).append(one)
    for name, own in sorted(found.items(), key=lambda item: (-total(item[1]), item[0])):
        by_purpose: dict[Purpose, float] = {}
        for one in own:
            by_purpose[one.purpose] = by_purpose.get(one.purpose, 0.0) + one.usd
        yield ComponentCost(name, total(own), unchecked(own), by_purpose)


def _by_promise(lines: list[Charge], system: System) -> Iterator[PromiseCost]:
    for purpose in purposes:
        own = [one for one in lines if one.purpose == purpose]
        asked = tuple(_asked(system, purpose))
        if total(own) or asked:
            yield PromiseCost(purpose, total(own), unchecked(own), asked)


def _asked(system: System, purpose: Purpose) -> Iterator[str]:
    owners = [*system.objectives.values(), *system.components.values()]
    for owner in owners:
        for kind in _ASKS[purpose]:
            target = owner.survive.get(kind)
            if target is None:
                continue
            said = [
                f"{name} {brief(value)}"
                for name, value in (("rto", target.rto_s), ("rpo", target.rpo_s))
                if value is not None
            ]
            if said:
                yield f"{owner.name}, {kind}: {', '.join(said)}"


def _strategies(blueprint: Blueprint, book: PriceBook) -> Iterator[StrategyCost]:
    regions = blueprint.regions
    declared = regions.strategy if regions is not None and len(regions.all()) > 1 else None
    wanted: tuple[Strategy, ...] = (*_compared, "active_active") if declared == "active_active" else _compared
    for strategy in wanted:
        changed = blueprint if strategy == declared else with_strategy(blueprint, strategy)
        lines, meter = bill(changed, book)
        yield StrategyCost(
            strategy, strategy == declared, total(lines), unchecked(lines), _paid(lines, "infrastructure"),
            tuple(recoveries(meter.system)),
        )  # fmt: skip


def recoveries(system: System) -> Iterator[ClassRecovery]:
    """How each class of work comes back when the home region is lost."""
    facts = Facts(system, now=0.0)
    home = system.home()
    for work in facts.graph.works:
        if home is None or not facts.graph.entries[work]:
            continue
        found = facts.recovery(work, Disruption("region", home.name))
        objective = system.objectives.get(work)
        target = objective.survive.get("region") if objective is not None else None
        met = None
        if target is not None:
            met = (target.rto_s is None or found.rto_s <= target.rto_s) and (
                target.rpo_s is None or found.rpo_s <= target.rpo_s
            )
        yield ClassRecovery(work, _finite(found.rto_s), _finite(found.rpo_s), met)


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
