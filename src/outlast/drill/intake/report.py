"""What the intake drill comes to: a row for each outage, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.assessment.impact import State
from outlast.assessment.precaution import Evidence
from outlast.drill.intake.book import Sent
from outlast.drill.oracle import Verdict


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dependency, away. Times in seconds; None: nothing of the kind came."""

    name: str
    subject: str
    how: str
    bitten: bool
    documents: int
    """Sent while it was away, or under way when it went."""
    affected: int
    """Of these: those that were read with less, or had to wait."""
    degraded: int
    waited: int
    waited_s_max: float
    waited_s_total: float
    reviewed: int
    """Degraded ones that a person saw before they were filed."""
    lost: int
    doubled: int
    away_s: float
    first_success_s: float | None
    """From the blow until a document that was sent after it had ended, while the dependency was still away."""
    caught_up_s: float | None
    """From its return until the last of these documents had ended."""
    whole_s: float | None
    """From its return until documents were read with everything again."""
    predicted: str
    """What the assessment says of the agent: untouched, degraded, waiting."""
    observed: str

    @property
    def agrees(self) -> bool:
        """Whether what happened to the agent is what was predicted."""
        return self.predicted == self.observed


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One drill."""

    verdict: Verdict
    findings: Sequence[str]
    rows: Sequence[Row]
    documents: int
    completed: int
    lost: int
    filed: int
    doubled: int
    missing: int
    degraded: int
    marks_wrong: int
    in_doubt_verified: int
    journal_whole: bool | None
    elapsed_s: float
    home: str = ""
    """Where everything is kept; empty: it was removed."""


def word_of(state: State) -> str:
    """A predicted state as the drill can see it: what is only weakened serves as before."""
    if state >= State.INTERRUPTED:
        return "down"
    return {State.WAITING: "waiting", State.DEGRADED: "degraded"}.get(state, "untouched")


def observed(documents: Sequence[Sent], lost: int) -> str:
    """What became of the agent, by what became of its documents."""
    if lost:
        return "down"
    if any(one.degraded for one in documents):
        return "degraded"
    return "waiting" if any(one.waited for one in documents) else "untouched"


def evidence_of(report: Report, at: float) -> list[Evidence]:
    """One result for each outage. `at`: when, in seconds since 1970. What did not bite is ``invalid``."""
    found: list[Evidence] = []
    for row in report.rows:
        passed = row.bitten and not (row.lost or row.doubled) and row.whole_s is not None
        found.append(
            Evidence(
                drill=f"intake {row.how}",
                at=round(at, 3),
                passed=passed,
                verdict="passed" if passed else "failed" if row.bitten else "invalid",
                disruption="dependency",
                subject=row.subject,
                work="intake",
                rto_s=row.first_success_s,
                rpo_s=0.0 if passed else None,
            )
        )
    return found
