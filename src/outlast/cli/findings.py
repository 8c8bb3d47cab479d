"""An assessment as text for people: promises, what was asked, findings."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import share_text, time_text
from outlast.assessment.assess import Assessment
from outlast.assessment.evidence import day_s
from outlast.assessment.finding import Finding, Severity
from outlast.assessment.impact import Impact, State
from outlast.assessment.precaution import Evidence
from outlast.assessment.promise import Promise
from outlast.cli.output import console

_COLOURS: dict[Severity, str] = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def print_assessment(assessment: Assessment, *, arithmetic: bool) -> None:
    """All of it; the sums of missed promises, or of all."""
    screen = console()
    screen.print(
        f"{assessment.system}: {assessment.components} components, {assessment.edges} needs, {assessment.file}"
    )
    if assessment.promises:
        screen.print("\npromises", style="bold")
        width = max(len(one.work) for one in assessment.promises)
        for promise in assessment.promises:
            missed = promise.status.startswith("missed")
            screen.print(_promise_line(promise, width), style="red" if missed else None)
            if missed or arithmetic:
                for line in promise.lines:
                    screen.print(f"      {line}", style="dim")
    for impact in assessment.what_if:
        screen.print(f"\nwhat if: {impact.disruption}", style="bold")
        for text in impact_lines(impact):
            screen.print(f"  {text}")
    screen.print("\nfindings", style="bold")
    for finding in assessment.findings:
        if not finding.accepted:
            _print_finding(finding, assessment.file)
    if assessment.accepted:
        screen.print("\naccepted", style="bold")
        for finding in assessment.findings:
            _print_accepted(finding)
    counts = ", ".join(f"{count} {severity}" for severity, count in assessment.counts.items() if count)
    accepted = f", {assessment.accepted} accepted" if assessment.accepted else ""
    screen.print(f"\n{counts or 'no findings'}{accepted}", style="bold")


def _promise_line(promise: Promise, width: int) -> str:
    what = promise.measure if promise.disruption is None else f"{promise.measure} {promise.disruption}"
    estimated = "never" if promise.estimated is None else _number(promise, promise.estimated)
    if promise.measure == "rpo" and promise.estimated is None:
        estimated = "all"
    worst = f"  ({promise.worst})" if promise.worst is not None and promise.status.startswith("missed") else ""
    status = promise.status
    found, age_s = promise.evidence, promise.evidence_age_s
    if found is not None and age_s is not None and promise.disruption is not None:
        measured = found.rto_s if promise.measure == "rto" else found.rpo_s
        shown = "" if measured is None else f": {time_text(round(measured, 1))}"
        age = "today" if age_s < day_s else f"{age_s / day_s:.0f} days ago"
        if promise.evidence_state == "expired":
            status += f", evidence expired ({found.drill}, {age})"
        elif status.endswith("by drill"):
            status += f" ({_drilled(found)}, {age}{shown})"
    return (
        f"  {promise.work:{width}}  {what:16} {_number(promise, promise.promised):>9} {estimated:>12}  {status}{worst}"
    )


def _drilled(evidence: Evidence) -> str:
    return f"{evidence.drill} of {evidence.subject}" if evidence.subject else evidence.drill


def _number(promise: Promise, value: float) -> str:
    return share_text(value) if promise.measure == "availability" else time_text(round(value, 1))


def impact_lines(impact: Impact) -> Iterator[str]:
    """What happens, in the order in which it does."""
    for touch in impact.touches.values():
        after = f" after {time_text(touch.after_s)}" if touch.after_s else ""
        back = touch.until_s
        until = "" if not back else f", back in {time_text(round(back, 1))}" if back < 1e9 else ", for good"
        shown = until if touch.state >= State.DEGRADED else ""
        indent = "  " * touch.step
        yield f"{indent}{touch.component}: {touch.state.word}{after}{shown}: {touch.why}"
    for work, state in impact.work.items():
        yield f"class {work}: {state.word}"


def _print_finding(finding: Finding, file: str) -> None:
    screen = console()
    place = f"{file}:{finding.place.line}:{finding.place.column}" if finding.place.line else file
    screen.print(f"\n{finding.severity:8} {finding.rule}  {finding.title}", style=_COLOURS[finding.severity])
    screen.print(f"  {place}  {finding.subject}: {finding.reason}", soft_wrap=True)
    if finding.acceptance is not None:
        screen.print(f"  accepted until {finding.acceptance.until}, which has passed: {finding.acceptance.reason}")
    by = f"  (outlast assess --apply {finding.rule})" if finding.fix.edits else ""
    screen.print(f"  fix: {finding.fix.text}{by}", soft_wrap=True)
    gain = f"buys: {finding.fix.buys}" if finding.fix.buys else ""
    cost = f"costs: {finding.fix.costs}" if finding.fix.costs else ""
    screen.print("  " + "; ".join(part for part in (gain, cost) if part), style="dim", soft_wrap=True)


def _print_accepted(finding: Finding) -> None:
    said = finding.acceptance
    if said is None or not finding.accepted:
        return
    screen = console()
    screen.print(
        f"  {finding.severity:8} {finding.rule}  {finding.subject}: {finding.reason}", style="dim", soft_wrap=True
    )
    screen.print(f"           until {said.until}: {said.reason}", style="dim", soft_wrap=True)
