"""What a failover drill comes to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.assessment.precaution import Evidence
from outlast.drill.failover.cluster import Mode
from outlast.drill.failover.judge import Judgement
from outlast.drill.measure import percentile
from outlast.drill.oracle import Verdict


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One primary killed. Seconds after the kill; None: it never came."""

    killed: str
    promoted: str
    noticed_s: float
    """Until the watcher held it for dead."""
    promoted_s: float
    """Until the standby took writes."""
    acknowledged_s: float | None
    """Until an append that was sent after the kill was acknowledged to a client."""
    refused: bool | None
    """Whether the old primary, started again, was refused; None: it was not tried."""
    refusal: str = ""
    untouched: bool = True
    """Whether nothing was written to the old primary after it had returned."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment. `acknowledged_s_…`: from the kill to the first new acknowledged append, as clients saw it."""

    mode: Mode
    verdict: Verdict
    findings: Sequence[str]
    kills: int
    records_lost: int
    events_lost: int
    losses_reported: int
    """Events that the engine itself reports as lost."""
    losses_unanswered: int
    """Of these: committed on the server that died, never acknowledged to the writer, sent again and there."""
    losses_unreported: int
    """Events lost by the books, and not reported."""
    losses_invented: int
    """Events reported, and not lost by the books."""
    effects_doubled: int
    runs_held: int
    """Runs that lost events, and were held until somebody drove them on."""
    refused: int
    refusals_due: int
    noticed_s_p50: float | None
    promoted_s_p50: float | None
    acknowledged_s_p50: float | None
    acknowledged_s_p99: float | None
    judgement: Judgement
    rounds: Sequence[Round]
    seed: int
    elapsed_s: float


def make(
    mode: Mode,
    judgement: Judgement,
    findings: Sequence[str],
    rounds: Sequence[Round],
    *,
    reported: int,
    unanswered: int,
    unreported: int,
    invented: int,
    held: int,
    seed: int,
    elapsed_s: float,
) -> Report:
    """The report. Invalid: nothing was acknowledged, or no kill was followed by a promotion."""
    gaps = [one.acknowledged_s for one in rounds if one.acknowledged_s is not None]
    tried = [one for one in rounds if one.refused is not None]
    verdict: Verdict = "failed" if findings else "passed"
    if not judgement.records_acknowledged or not rounds:
        verdict = "invalid"
    return Report(
        mode=mode,
        verdict=verdict,
        findings=findings,
        kills=len(rounds),
        records_lost=judgement.records_lost,
        events_lost=judgement.events_lost,
        losses_reported=reported,
        losses_unanswered=unanswered,
        losses_unreported=unreported,
        losses_invented=invented,
        effects_doubled=judgement.effects_doubled,
        runs_held=held,
        refused=sum(one.refused is True for one in tried),
        refusals_due=len(tried),
        noticed_s_p50=_rounded(percentile([one.noticed_s for one in rounds], 0.5)),
        promoted_s_p50=_rounded(percentile([one.promoted_s for one in rounds], 0.5)),
        acknowledged_s_p50=_rounded(percentile(gaps, 0.5)),
        acknowledged_s_p99=_rounded(percentile(gaps, 0.99)),
        judgement=judgement,
        rounds=rounds,
        seed=seed,
        elapsed_s=round(elapsed_s, 1),
    )


def evidence_of(report: Report, at: float) -> Evidence:
    """What it shows of a journal that stands like that. `at`: when, in seconds since 1970.

    How many seconds an asynchronous standby loses is not measured: it is no evidence of an RPO.
    """
    passed = report.verdict == "passed"
    return Evidence(
        drill=f"db-failover {report.mode}",
        at=round(at, 3),
        passed=passed,
        verdict=report.verdict,
        disruption="node",
        subject="journal",
        rto_s=report.acknowledged_s_p99,
        rpo_s=0.0 if passed and report.mode == "sync" and not report.events_lost else None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
