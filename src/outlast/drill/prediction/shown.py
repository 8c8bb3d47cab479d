"""What a verification has shown, as evidence for an assessment."""

from __future__ import annotations

from outlast.assessment.precaution import Evidence
from outlast.drill.prediction.experiment import Verification

drill = "verify"


def evidence_of(verification: Verification, at: float) -> list[Evidence]:
    """One result for each component that was killed. `at`: when, in seconds since 1970.

    It passed if all acknowledged work was done in the end; that a prediction was wrong is the prediction's fault. A
    trial that killed nothing, or met no work, is ``invalid``.
    """
    found: list[Evidence] = []
    for trial in verification.trials:
        valid = bool(trial.signals and trial.acknowledged)
        passed = valid and not (trial.lost or trial.failed)
        found.append(
            Evidence(
                drill=drill,
                at=round(at, 3),
                passed=passed,
                verdict="passed" if passed else "failed" if valid else "invalid",
                disruption=trial.disruption,
                subject=trial.component,
                work=verification.work,
                rto_s=trial.rto_s,
                rpo_s=0.0 if passed else None,
            )
        )
    return found
