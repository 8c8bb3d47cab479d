"""What is predicted, held against the running examples."""

from __future__ import annotations

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.drill.prediction.experiment import Trial, Verification, agreement, subjects, verify
from outlast.drill.prediction.shown import evidence_of

PARTS = {
    "support-desk": {"support", "journal", "front", "writer.first", "helper.left", "writer"},
    "document-intake": {"intake", "journal", "documents", "preprocessing", "extractions", "register", "reader.first"},
}


def trial(predicted: tuple[str, ...], observed: tuple[str, ...], signals: int = 1, lost: int = 0) -> Trial:
    return Trial(
        component="a", killed=("a",), predicted=predicted, observed=observed, signals=signals, acknowledged=2, lost=lost
    )


def test_agreement_is_precision_and_recall() -> None:
    assert agreement([trial(("b", "c"), ("b",))]) == (0.5, 1.0)
    assert agreement([trial(("b",), ("b", "c"))]) == (1.0, 0.5)
    assert agreement([trial((), ())]) == (1.0, 1.0)


def test_a_trial_that_killed_nothing_proves_nothing() -> None:
    nothing = Verification(trials=(trial((), (), signals=0),), precision=1.0, recall=1.0)
    assert not nothing.agrees
    assert [one.verdict for one in evidence_of(nothing, 1.0)] == ["invalid"]


def test_lost_work_is_no_agreement_and_evidence_of_the_worst_kind() -> None:
    lossy = Verification(trials=(trial((), (), lost=1),), precision=1.0, recall=1.0)
    assert not lossy.agrees
    assert [(one.verdict, one.passed, one.rpo_s) for one in evidence_of(lossy, 1.0)] == [("failed", False, None)]


def test_work_that_failed_was_not_lost_and_is_no_evidence_that_the_loss_is_survived() -> None:
    one = msgspec.structs.replace(trial(("b",), ("b",)), failed=2)
    failing = Verification(trials=(one,), precision=1.0, recall=1.0)
    assert failing.agrees
    assert [one.verdict for one in evidence_of(failing, 1.0)] == ["failed"]


@pytest.mark.crash
@pytest.mark.slow(45)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", sorted(subjects))
async def test_what_is_affected_is_what_was_predicted(system: str) -> None:
    found = await verify(SystemClock(), lambda _: None, system)
    assert found.agrees, "\n".join(map(str, found.trials))
    assert {one.component for one in found.trials} >= PARTS[system]
    assert any(one.observed for one in found.trials)
    assert all(one.acknowledged for one in found.trials)
    assert found.lost == 0
    failed = {one.subject for one in evidence_of(found, 1.0) if one.verdict != "passed"}
    assert failed == {"support-desk": {"writer"}, "document-intake": set[str]()}[system]
