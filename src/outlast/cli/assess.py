"""``outlast assess``: where a described system breaks, before it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home
from outlast.kernel.error import UsageError

if TYPE_CHECKING:
    from outlast.assessment.assess import Assessment
    from outlast.assessment.system import System

File = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", metavar="FILE", show_default=False, help="The blueprint. Default: outlast.yaml of the project."
    ),
]


def assess(
    file: File = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", show_default=False, help="Write a report as one HTML file.")
    ] = None,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code hosts.")] = False,
    fail_on: Annotated[
        str,
        typer.Option("--fail-on", metavar="SEVERITY", help="Exit 1 from low, medium, high or critical on; or never."),
    ] = "high",
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if", metavar="TEXT", show_default=False, help='What happens then: "zone eu-central-1a down".'
        ),
    ] = None,
    apply: Annotated[
        list[str] | None,
        typer.Option("--apply", metavar="RULE", show_default=False, help="Write the fixes of a rule into the file."),
    ] = None,
    arithmetic: Annotated[
        bool, typer.Option("--arithmetic", help="Show every promise's sum, not only missed ones.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="FILE",
            show_default=False,
            help="What drills measured, one JSON object a line. Default: .outlast/evidence.jsonl beside the file.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Start the example that the file is of, kill each part, and compare."
        ),
    ] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="Print the reference page of all rules, and nothing else.")
    ] = False,
    home: Home = None,
) -> None:
    """Say where a described system breaks, and what would mend it.

    Needs outlast.yaml and nothing else: no app, no account, no network. Exit code 1 when there is a finding as bad as
    --fail-on, or worse.

    For example:

        outlast assess
        outlast assess -f shop.yaml --what-if "zone eu-central-1a down"
        outlast assess --apply OL-DAT-001
        outlast assess --html report.html --fail-on never
        outlast assess --verify -f examples/document_intake/outlast.yaml
    """
    from outlast.assessment.assess import assess as assessed
    from outlast.assessment.assess import at_least
    from outlast.assessment.finding import severities
    from outlast.assessment.what_if import disruption_of
    from outlast.cli.assessed import clock_now, read_system, write_fixes
    from outlast.cli.output import note, print_json

    if rules:
        from outlast.assessment.rule_page import rule_page

        print(rule_page(), end="")
        return
    if verify:
        from outlast.cli.verify import run_verification

        raise typer.Exit(run_verification(file, home, evidence, json=json))
    if fail_on not in (*severities, "never"):
        raise UsageError(f"--fail-on {fail_on[:32]!r}: expected one of {', '.join(severities)}, never")
    if json and sarif:
        raise UsageError("--json and --sarif both take standard output: choose one")
    path, system = read_system(file, home, evidence)
    now = clock_now()
    assessment = assessed(system, now, [disruption_of(text, system) for text in what_if or ()])
    if apply:
        write_fixes(path, assessment, apply)
        path, system = read_system(path, home, evidence)
        assessment = assessed(system, now, [disruption_of(text, system) for text in what_if or ()])
    if html is not None:
        _write_html(html, assessment, system, path)
        note(f"written: {html}")
    if json:
        from outlast.assessment.document import document

        print_json(document(assessment))
    elif sarif:
        from outlast.assessment.rulebook import known_rules
        from outlast.assessment.sarif import sarif as sarif_document
        from outlast.cli.version import installed

        print_json(sarif_document(assessment, known_rules(), installed()))
    else:
        from outlast.cli.findings import print_assessment

        print_assessment(assessment, arithmetic=arithmetic)
    if fail_on != "never" and at_least(assessment, next(one for one in severities if one == fail_on)):
        raise typer.Exit(ExitCode.FAILED)


def _write_html(target: Path, assessment: Assessment, system: System, blueprint: Path) -> None:
    from outlast.assessment.report import report

    target.write_text(report(assessment, system, blueprint.read_text(encoding="utf-8")), encoding="utf-8")
