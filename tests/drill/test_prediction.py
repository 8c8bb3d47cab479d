"""What is predicted, held against the running support desk."""

from __future__ import annotations

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.drill.prediction.experiment import Trial, Verification, agreement, verify


def trial(predicted: tuple[str, ...], observed: tuple[str, ...], signals: int = 1) -> Trial:
    return Trial(component="a", killed=("a",), predicted=predicted, observed=observed, signals=signals)


def test_agreement_is_precision_and_recall() -> None:
    assert agreement([trial(("b", "c"), ("b",))]) == (0.5, 1.0)
    assert agreement([trial(("b",), ("b", "c"))]) == (1.0, 0.5)
    assert agreement([trial((), ())]) == (1.0, 1.0)


def test_a_trial_that_killed_nothing_proves_nothing() -> None:
    assert not Verification(trials=(trial((), (), signals=0),), precision=1.0, recall=1.0).agrees


@pytest.mark.crash
@pytest.mark.slow(45)
@pytest.mark.timeout(300)
async def test_what_is_affected_is_what_was_predicted() -> None:
    found = await verify(SystemClock(), lambda _: None)
    assert found.agrees, "\n".join(map(str, found.trials))
    assert {one.component for one in found.trials} >= {"support", "journal", "front", "writer.first", "helper.left"}
    assert any(one.observed for one in found.trials)
