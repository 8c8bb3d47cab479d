"""`outlast failures`: the table of failure modes that a review meeting goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from outlast.cli.option import File, Home, Json

if TYPE_CHECKING:
    from outlast.assessment.failure import FailureMode

_columns = ("subject", "mode", "shows", "effect", "protected by", "drill", "blast radius")


def failures(
    file: File = None,
    home: Home = None,
    format: Annotated[
        Literal["markdown", "csv", "json"] | None,
        typer.Option("--format", help="Default: a table on a terminal, else Markdown.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List what can fail, how it shows, what protects it, and which drill would prove it.

    Protections are those that the blueprint declares: "nothing declared" is where to look first. A drill that is only
    proposed is marked "not planned". Rows stand in the order of the file; the blast radius is the share of all work.

    For example:

        outlast failures --format csv > failures.csv
        outlast failures -f other.yaml --json | jq '.[] | select(.declared | not)'
    """
    import msgspec

    from outlast.assessment.describe import describe
    from outlast.assessment.facts import Facts
    from outlast.assessment.failure import failures as listed
    from outlast.blueprint.load import load_file
    from outlast.cli.home import blueprint_path
    from outlast.cli.output import console, print_json

    path = blueprint_path(file, home)
    blueprint, places = load_file(path)
    rows = list(listed(Facts(describe(blueprint, places, str(path)), now=0.0)))
    if json or format == "json":
        print_json(msgspec.to_builtins(rows))
    elif format == "csv":
        _csv(rows)
    elif format == "markdown" or not console().is_terminal:
        _markdown(rows)
    else:
        _table(rows)


def _cells(row: FailureMode) -> list[str]:
    from outlast.cli.output import plain

    drill = row.drill if row.declared else f"{row.drill} (not planned)"
    found = [row.subject, row.mode, row.shows, row.effect, row.protected_by, drill, f"{row.blast_radius:.0%}"]
    return [plain(cell) for cell in found]


def _csv(rows: Sequence[FailureMode]) -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_columns)
    for row in rows:
        writer.writerow([_inert(cell) for cell in _cells(row)])


def _inert(cell: str) -> str:
    """What a spreadsheet would take for a formula is text."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _markdown(rows: Sequence[FailureMode]) -> None:
    print(f"| {' | '.join(_columns)} |")
    print(f"|{'---|' * len(_columns)}")
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in _cells(row)]
        print(f"| {' | '.join(cells)} |")


def _table(rows: Sequence[FailureMode]) -> None:
    from rich.table import Table

    from outlast.cli.output import console

    table = Table(*_columns, show_lines=True)
    for row in rows:
        table.add_row(*_cells(row))
    console().print(table)
