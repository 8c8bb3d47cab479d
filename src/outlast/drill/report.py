"""What a demo comes to: counts of the oracle, figures of the public events, the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.assessment.precaution import Evidence
from outlast.drill.fault import Harm
from outlast.drill.measure import Blow, Histories, in_doubt_verified, percentile, recovery, standstill_s
from outlast.drill.oracle import Judgement, Verdict
from outlast.drill.plan import kill_kinds


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One demo. Times are in seconds; None: nothing was there to be measured.

    `in_doubt_verified` counts steps that a crash left in doubt and their tool's `verify` decided. `recovery_s_…`: for
    each killed worker that owned runs, from the kill (by the killer's clock) to the first progress that another worker
    recorded in one of them, by the time in that event; it contains noticing, claiming, replaying and doing that step.
    `takeover_s_…`: likewise, to the first claim.
    """

    verdict: Verdict
    findings: Sequence[str]
    runs_total: int
    runs_completed: int
    runs_lost: int
    effects_expected: int
    effects_done: int
    effects_duplicated: int
    effects_missing: int
    in_doubt_verified: int
    workers_killed: int
    workers_frozen: int
    zombies_returned: int
    writers_killed: int
    supervisor_restarts: int
    recovery_s_p50: float | None
    recovery_s_p99: float | None
    takeover_s_p50: float | None
    takeover_s_p99: float | None
    frozen_takeover_s: float | None
    writer_standstill_s: float | None
    supervisor_standstill_s: float | None
    elapsed_s: float
    runs_doubled: int
    runs_unexpected: int
    effects_attempted: int
    effects_unexpected: int
    steps: int
    journal_whole: bool | None = None
    """What ``outlast audit verify`` said at the end; None: it was not asked."""
    labels_right: int
    labelled_by: str
    model: str
    model_kind: str
    seed: int
    faults: Sequence[Harm]
    home: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a report that comes from the harms done and the runs' public events."""

    in_doubt_verified: int
    workers_killed: int
    workers_frozen: int
    writers_killed: int
    supervisor_restarts: int
    recovery_s_p50: float | None
    recovery_s_p99: float | None
    takeover_s_p50: float | None
    takeover_s_p99: float | None
    frozen_takeover_s: float | None
    writer_standstill_s: float | None
    supervisor_standstill_s: float | None
    steps: int


def confirmed(harms: Sequence[Harm], histories: Histories) -> list[Harm]:
    """The harms with what the runs' events say about them: a blow to a worker that owned no run has not bitten."""
    return [_confirmed(harm, histories) for harm in harms]


def _confirmed(harm: Harm, histories: Histories) -> Harm:
    if not harm.bitten or not harm.worker:
        return harm
    found = recovery(histories, Blow(harm.worker, harm.at))
    if found.runs == 0:
        return msgspec.structs.replace(harm, bitten=False, recovery=found, note="it owned no run")
    return msgspec.structs.replace(harm, recovery=found)


def figures(harms: Sequence[Harm], histories: Histories) -> Figures:
    """Count and measure. `harms` as `confirmed` returns them; a worker that was killed counts even if it was idle."""
    kills = [harm for harm in harms if harm.kind in kill_kinds and harm.worker]
    recoveries = [harm.recovery for harm in kills if harm.bitten and harm.recovery is not None]
    recovered = [one.recovered_s for one in recoveries if one.recovered_s is not None]
    taken = [one.taken_over_s for one in recoveries if one.taken_over_s is not None]
    bitten = {harm.kind: harm for harm in harms if harm.bitten}
    freeze, writer, supervisor = bitten.get("freeze"), bitten.get("writer"), bitten.get("supervisor")
    return Figures(
        in_doubt_verified=in_doubt_verified(histories),
        workers_killed=len(kills),
        workers_frozen=sum(harm.kind == "freeze" and bool(harm.worker) for harm in harms),
        writers_killed=int(writer is not None),
        supervisor_restarts=int(supervisor is not None),
        recovery_s_p50=_rounded(percentile(recovered, 0.5)),
        recovery_s_p99=_rounded(percentile(recovered, 0.99)),
        takeover_s_p50=_rounded(percentile(taken, 0.5)),
        takeover_s_p99=_rounded(percentile(taken, 0.99)),
        frozen_takeover_s=_rounded(freeze.recovery.taken_over_s if freeze is not None and freeze.recovery else None),
        writer_standstill_s=_rounded(standstill_s(histories, writer.at) if writer is not None else None),
        supervisor_standstill_s=_rounded(standstill_s(histories, supervisor.at) if supervisor is not None else None),
        steps=sum(event.type == "step.done" for events in histories.values() for event in events),
    )


def make(
    judgement: Judgement,
    found: Figures,
    harms: Sequence[Harm],
    *,
    elapsed_s: float,
    zombies_returned: int,
    labels_right: int,
    labelled_by: str,
    model: str,
    model_kind: str,
    seed: int,
    home: str,
) -> Report:
    """The report of one demo."""
    return Report(
        **msgspec.structs.asdict(judgement),
        **msgspec.structs.asdict(found),
        faults=harms,
        elapsed_s=round(elapsed_s, 2),
        zombies_returned=zombies_returned,
        labels_right=labels_right,
        labelled_by=labelled_by,
        model=model,
        model_kind=model_kind,
        seed=seed,
        home=home,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def evidence_of(report: Report, at: float) -> Evidence:
    """What a demo shows: that the desk survives the death of its processes. `at`: when, in seconds since 1970.

    Without a fault it shows nothing.
    """
    killed = bool(report.workers_killed)
    passed = report.verdict == "passed" and killed
    return Evidence(
        drill="demo",
        at=round(at, 3),
        passed=passed,
        verdict=report.verdict if killed else "invalid",
        disruption="process",
        subject="support",
        rto_s=report.recovery_s_p99,
        rpo_s=0.0 if passed else None,
    )
