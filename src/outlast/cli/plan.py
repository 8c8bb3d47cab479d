"""`outlast plan`: what the objectives imply, why, and what would change if an objective did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import File, Home, Json

if TYPE_CHECKING:
    from outlast.assessment.plan import Plan


def plan(
    file: File = None,
    home: Home = None,
    diff: Annotated[
        Path | None, typer.Option("--diff", metavar="OTHER", help="Another blueprint: show where the two plans part.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what the objectives imply, why, and what would change if one of them did.

    Regions, strategy, replication, redundancy, backups, fallbacks: each decision takes the cheapest design that the
    promises admit, and shows which promise decided it, the arithmetic, what would have to change for the next cheaper
    design, and what that saves. What no design meets is said (exit code 1). It needs no account and no network, and
    changes nothing.

    For example:

        outlast plan
        outlast plan -f outlast.yaml --diff cheaper.yaml
        outlast plan --json | jq '.decisions[] | {subject, chosen}'
    """
    import msgspec

    from outlast.assessment.plan import compare
    from outlast.cli.exit import ExitCode
    from outlast.cli.home import blueprint_path
    from outlast.cli.output import print_json

    found = _made(blueprint_path(file, home))
    if diff is not None:
        other = _made(blueprint_path(diff, None))
        differences = compare(found, other)
        if json:
            usd = {
                "usd_before": found.usd, "unchecked_usd_before": found.unchecked_usd,
                "usd_after": other.usd, "unchecked_usd_after": other.unchecked_usd,
            }  # fmt: skip
            print_json({**usd, "differences": msgspec.to_builtins(differences)})
            return
        _compared(found, other)
        return
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _shown(found)
    if found.missed:
        raise typer.Exit(ExitCode.FAILED)


def _made(path: Path) -> Plan:
    from outlast.assessment.plan import plan
    from outlast.blueprint.load import load_file
    from outlast.bootstrap.pricing import price_book

    blueprint, _ = load_file(path)
    return plan(blueprint, price_book(), str(path))


def _shown(found: Plan) -> None:
    from outlast.assessment.headroom import told
    from outlast.cli.output import plain

    print(plain(f"{found.system}: {found.usd:,.2f} USD a month as planned, {found.declared_usd:,.2f} as declared"))
    if found.unchecked_usd:
        print(f"  of what is planned {found.unchecked_usd:,.2f} USD rest on unchecked prices: see outlast cost --lines")
    for one in found.decisions:
        print(plain(f"\n{one.question} of {one.subject}: {one.chosen}"))
        for title, sentences in (
            ("because", one.why),
            ("sum", one.lines),
            ("cannot be met", one.unmet),
            ("cheaper", (one.cheaper,) if one.cheaper else ()),
            ("more", (one.dearer,) if one.dearer else ()),
            ("declared", _declared(one.against_declared_usd)),
        ):
            for i, sentence in enumerate(sentences):
                print(plain(f"  {title if not i else '':14}{sentence}"))
    for title, sentences in (
        ("Load and what carries it", [told(one) for one in found.headroom]),
        ("Missed by design, also as planned", list(found.missed)),
    ):
        if sentences:
            print(f"\n{title}")
            for sentence in sentences:
                print(plain(f"  {sentence}"))


def _declared(usd: float | None) -> tuple[str, ...]:
    if usd is None or abs(usd) < 0.005:
        return ()
    less = "more" if usd < 0 else "less"
    return (f"the file costs {abs(usd):,.2f} USD a month {less}",)


def _compared(before: Plan, after: Plan) -> None:
    from outlast.assessment.plan import compare
    from outlast.cli.output import plain

    change = after.usd - before.usd
    print(plain(f"{before.file}: {before.usd:,.2f} USD a month as planned ({before.unchecked_usd:,.2f} unchecked)"))
    print(plain(f"{after.file}: {after.usd:,.2f} USD a month as planned ({after.unchecked_usd:,.2f} unchecked)"))
    print(f"the second costs {abs(change):,.2f} USD a month {'more' if change >= 0 else 'less'}")
    differences = compare(before, after)
    if not differences:
        print("The two plans decide the same.")
    for one in differences:
        print(plain(f"\n{one.question} of {one.subject}"))
        print(plain(f"  {'first':8}{one.before or 'not decided'}"))
        print(plain(f"  {'second':8}{one.after or 'not decided'}"))
