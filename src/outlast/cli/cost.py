"""`outlast cost`: what a system costs in a month, and what each of its promises costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import File, Home, Json

if TYPE_CHECKING:
    from outlast.assessment.cost import ClassRecovery, Estimate, StrategyCost

_purposes = {
    "work": "the work itself",
    "node": "a process or node lost",
    "zone": "a zone lost",
    "region": "the region lost",
    "corruption": "data corrupted",
    "dependency": "a dependency away",
}


def cost(
    file: File = None,
    home: Home = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Prices of this region of AWS for everything.")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Show every line with its arithmetic.")] = False,
    json: Json = False,
) -> None:
    """Estimate what a system costs in a month: by component, by promise, by strategy for a lost region.

    It needs no account and no network: prices come from a dated file in this package. What rests on a price that was
    not checked, on an assumption, or is left out, is listed. It is an estimate of a design, not an offer.

    Under "by promise" stands what surviving each kind of disruption costs beyond doing the work, and which objective
    asks for it. Where no objective does, the money can be saved, or an objective is missing.

    For example:

        outlast cost --lines
        outlast cost -f other.yaml --region us-east-1 --json | jq .usd
    """
    import msgspec

    from outlast.assessment.cost import estimate
    from outlast.blueprint.load import load_file
    from outlast.bootstrap.pricing import price_book
    from outlast.cli.home import blueprint_path
    from outlast.cli.output import print_json
    from outlast.kernel.error import UsageError

    if region is not None and not _is_region(region):
        raise UsageError(f"--region is {region[:64]!r}: expected a region of AWS, such as eu-central-1")
    path = blueprint_path(file, home)
    blueprint, _ = load_file(path)
    found = estimate(blueprint, price_book(region), str(path))
    if json:
        print_json(msgspec.to_builtins(found))
        return
    _shown(found, lines)


def _is_region(text: str) -> bool:
    import re

    return re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", text) is not None


def _shown(found: Estimate, lines: bool) -> None:
    from rich.table import Table

    from outlast.cli.output import console, plain

    screen = console()
    print(plain(f"{found.system}: {_usd(found.usd)} a month{_of(found.unchecked_usd)} (price file of {found.as_of})"))
    for name, usd, unchecked, budget in (
        ("infrastructure", found.infrastructure_usd, found.unchecked_infrastructure_usd,
         found.budget_infrastructure_usd),
        ("model tokens", found.tokens_usd, found.unchecked_tokens_usd, found.budget_tokens_usd),
    ):  # fmt: skip
        print(f"  {name}: {_usd(usd)}{_against(usd, budget)}{_of(unchecked)}")
    if not found.charges:
        print("Nothing in it has a price: no part of it names a service of AWS.")
    else:
        table = Table(title="By component", title_justify="left", box=None, pad_edge=False)
        for column in ("component", "USD a month", "unchecked", "of it for"):
            table.add_column(column, justify="right" if column in _sums else "left")
        for one in found.by_component:
            parts = ", ".join(f"{_purposes[purpose]} {usd:,.2f}" for purpose, usd in one.by_purpose.items())
            table.add_row(plain(one.component), f"{one.usd:,.2f}", _sum(one.unchecked_usd), parts)
        print()
        screen.print(table)
        table = Table(title="By promise", title_justify="left", box=None, pad_edge=False)
        for column in ("to survive", "USD a month", "unchecked", "asked by"):
            table.add_column(column, justify="right" if column in _sums else "left")
        for promise in found.by_promise:
            asked = "; ".join(promise.asked_by) or ("the load" if promise.purpose == "work" else "no objective")
            sums = f"{promise.usd:,.2f}", _sum(promise.unchecked_usd)
            table.add_row(_purposes[promise.purpose], *sums, plain(asked))
        print()
        screen.print(table)
        print()
        screen.print(_strategies(found))
    if lines:
        print("\nLine by line")
        for charge in found.charges:
            print(plain(f"  {charge.component} in {charge.region}, for {_purposes[charge.purpose]}: {charge}"))
    _told("Assumed", list(found.assumed))
    _told("Not in it", [*(f"{one.component}: {one.why}" for one in found.unpriced), *_never])
    if found.unchecked_usd:
        share = found.unchecked_usd / found.usd
        print(f"\n{_usd(found.unchecked_usd)} of it ({share:.0%}) rest on unchecked prices: see --lines")
        seen = f" of {' and '.join(found.checked_on)}" if found.checked_on else ""
        print(f"unchecked: compared with no record of the price list; the others with records{seen}")


_sums = ("USD a month", "unchecked", "difference")


def _of(unchecked: float) -> str:
    return f", {_usd(unchecked)} of it unchecked" if unchecked else ""


def _sum(usd: float) -> str:
    return f"{usd:,.2f}" if usd else ""


_never = ["everything: transfer to clients, private networking, support, taxes, discounts, free tiers"]


def _strategies(found: Estimate) -> object:
    from rich.table import Table

    from outlast.cli.output import plain

    table = Table(title="If the region is lost", title_justify="left", box=None, pad_edge=False)
    last = "until clients succeed, and what may be lost"
    for column in ("strategy", "USD a month", "unchecked", "difference", last):
        table.add_column(column, justify="right" if column in _sums else "left", no_wrap=column != last)
    first = found.strategies[0].usd if found.strategies else 0.0
    for one in found.strategies:
        name = one.strategy + (" (declared)" if one.declared else "")
        sums = f"{one.usd:,.2f}", _sum(one.unchecked_usd), f"{one.usd - first:+,.2f}"
        table.add_row(name, *sums, plain(_recovered(one)))
    return table


def _recovered(one: StrategyCost) -> str:
    return "\n".join(f"{found.work} {_recovery(found)}" for found in one.recovery)


def _recovery(found: ClassRecovery) -> str:
    from outlast.assessment.choice import brief

    rto = "never" if found.rto_s is None else brief(found.rto_s)
    rpo = "all" if found.rpo_s is None else brief(found.rpo_s)
    verdict = {True: "met", False: "missed", None: "not promised"}[found.met]
    return f"{rto}, {rpo} ({verdict})"


def _told(title: str, sentences: list[str]) -> None:
    from outlast.cli.output import plain

    if sentences:
        print(f"\n{title}")
        for sentence in sentences:
            print(plain(f"  {sentence}"))


def _usd(value: float) -> str:
    return f"{value:,.2f} USD"


def _against(usd: float, budget: float | None) -> str:
    if budget is None:
        return ""
    return f" of a budget of {_usd(budget)}" + ("" if usd <= budget else f": {_usd(usd - budget)} too much")
