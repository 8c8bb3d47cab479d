"""``outlast assess --verify``: what the assessment predicts, against what happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.cli.evidence import described, keep
from outlast.cli.exit import ExitCode
from outlast.cli.output import console, note, print_json
from outlast.drill.prediction.experiment import Verification, agreement_min, subjects, verify
from outlast.drill.prediction.shown import evidence_of
from outlast.kernel.error import UsageError

_default = "support-desk"


def run_verification(file: Path | None, home: Path | None, evidence: Path | None, *, json: bool) -> int:
    """Run all trials, keep what they have shown, print them; the exit code says whether predictions are good enough.

    Of the example that the blueprint is of, else of the support desk. Raises UsageError for a blueprint of another.
    """
    found = described(file, home)
    if file is not None and found is not None and found[1] not in subjects:
        known = ", ".join(subjects)
        raise UsageError(f"--verify starts examples only, and {file} describes {found[1][:64]!r}: expected {known}")
    system = found[1] if found is not None and found[1] in subjects else _default
    source = found[0].parent if found is not None and found[1] == system else None
    clock = SystemClock()
    verification = asyncio.run(verify(clock, note, system, source))
    keep(evidence_of(verification, clock.now()), system, evidence, found)
    if json:
        print_json({**msgspec.to_builtins(verification), "agrees": verification.agrees})
    else:
        _print(verification)
    return ExitCode.OK if verification.agrees else ExitCode.FAILED


def _print(verification: Verification) -> None:
    screen = console()
    for trial in verification.trials:
        agrees = set(trial.predicted) == set(trial.observed) and not trial.lost
        predicted, observed = ", ".join(trial.predicted) or "nothing", ", ".join(trial.observed) or "nothing"
        waited = f"{trial.failed} runs failed" if trial.failed else "work waited until it was back"
        served = waited if trial.rto_s is None else f"work was done again after {trial.rto_s:.1f} s"
        screen.print(
            f"{trial.component}: predicted {predicted}; observed {observed}; {served}, {trial.lost} lost",
            style=None if agrees else "red",
        )
    word = "agrees" if verification.agrees else "does not agree"
    screen.print(
        f"precision {verification.precision:.2f}, recall {verification.recall:.2f} over {len(verification.trials)} "
        f"components that were killed: {word} (at least {agreement_min:g} each)",
        style="bold",
    )
