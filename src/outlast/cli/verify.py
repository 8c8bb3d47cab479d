"""``outlast assess --verify``: what the assessment predicts, against what happens."""

from __future__ import annotations

import asyncio

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.cli.exit import ExitCode
from outlast.cli.output import console, note, print_json
from outlast.drill.prediction.experiment import Verification, agreement_min, verify


def run_verification(system: str, *, json: bool) -> int:
    """Run all trials and print them; the exit code says whether predictions are good enough."""
    verification = asyncio.run(verify(SystemClock(), note, system))
    if json:
        print_json({**msgspec.to_builtins(verification), "agrees": verification.agrees})
    else:
        _print(verification)
    return ExitCode.OK if verification.agrees else ExitCode.FAILED


def _print(verification: Verification) -> None:
    screen = console()
    for trial in verification.trials:
        agrees = set(trial.predicted) == set(trial.observed)
        predicted, observed = ", ".join(trial.predicted) or "nothing", ", ".join(trial.observed) or "nothing"
        screen.print(f"{trial.component}: predicted {predicted}; observed {observed}", style=None if agrees else "red")
    word = "agrees" if verification.agrees else "does not agree"
    screen.print(
        f"precision {verification.precision:.2f}, recall {verification.recall:.2f} over {len(verification.trials)} "
        f"components that were killed: {word} (at least {agreement_min:g} each)",
        style="bold",
    )
