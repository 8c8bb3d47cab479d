"""``outlast graph``: what needs what, and what fails with what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.option import Home
from outlast.kernel.error import UsageError

if TYPE_CHECKING:
    from outlast.assessment.impact import Impact
    from outlast.assessment.system import System

_FORMATS = ("svg", "dot", "mermaid")
_ENDINGS = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}


def graph(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            show_default=False,
            help="The blueprint. Default: outlast.yaml of the project.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, help="Write to a file. Default: standard output."
        ),
    ] = None,
    blast: Annotated[
        str | None,
        typer.Option(
            "--blast",
            metavar="WHAT",
            show_default=False,
            help='Mark what fails with it: "orders", "zone eu-central-1a".',
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            show_default=False,
            help="svg, dot or mermaid. Default: by the file's ending, else svg.",
        ),
    ] = None,
    observed: Annotated[
        bool, typer.Option("--observed", help="Hold the file against what runs have used; exit 1 if the two differ.")
    ] = False,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, max=1_000_000, help="With --observed: the newest N.")
    ] = 10_000,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
    home: Home = None,
) -> None:
    """Draw what needs what, and what fails when something fails.

    The SVG needs nothing else: no network, no program beside a browser. Needs outlast.yaml and no app. With --observed
    it reads the journal instead, and says what runs asked that the file does not name, and the other way round.

    For example:

        outlast graph -o graph.svg
        outlast graph -o orders.svg --blast orders
        outlast graph --blast "zone eu-central-1a" --json | jq .blast.touches
        outlast graph --observed
    """  # fmt: skip
    from outlast.assessment.graph import Graph
    from outlast.assessment.spread import spread
    from outlast.assessment.what_if import disruption_of
    from outlast.cli.assessed import read_system
    from outlast.cli.output import note, print_json

    if observed:
        from outlast.cli.observed import run_observed

        if blast is not None or format is not None:
            raise UsageError("--observed draws nothing: leave out --blast and --format")
        raise typer.Exit(run_observed(file, home, output, runs, json=json))
    kind = _format(format, output)
    if json and (format is not None or output is not None):
        raise UsageError("--json takes standard output and has a format of its own: leave out --format and -o")
    _, system = read_system(file, home)
    impact = spread(Graph(system), disruption_of(blast, system)) if blast is not None else None
    if json:
        print_json(document(system, impact))
        return
    text = _drawn(kind, system, impact)
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        output.write_text(text, encoding="utf-8")
        note(f"written: {output}")


def _format(given: str | None, output: Path | None) -> str:
    if given is None:
        return _ENDINGS.get(output.suffix.lower(), "svg") if output is not None else "svg"
    if given not in _FORMATS:
        raise UsageError(f"--format {given[:32]!r}: expected one of {', '.join(_FORMATS)}")
    return given


def _drawn(kind: str, system: System, impact: Impact | None) -> str:
    if kind == "dot":
        from outlast.assessment.drawing.dot import dot

        return dot(system, impact)
    if kind == "mermaid":
        from outlast.assessment.drawing.mermaid import mermaid

        return mermaid(system, impact)
    from outlast.assessment.draw import draw

    return draw(system, impact)


def document(system: System, impact: Impact | None) -> dict[str, Any]:
    """The graph as plain JSON values: components with their frames, edges, and what fails."""
    from outlast.assessment.document import plain
    from outlast.assessment.drawing.lane import lanes

    ordered, lane_of = lanes(system)
    found: dict[str, Any] = {"system": system.name, "components": [], "edges": [plain(edge) for edge in system.edges]}
    for name, component in system.components.items():
        lane = ordered[lane_of[name]]
        frames = [heading.text for heading in (lane.regions, lane.zones) if heading is not None]
        found["components"].append({**plain(component), "frames": frames})
    if impact is not None:
        found["blast"] = plain(impact)
    return found
