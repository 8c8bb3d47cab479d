"""System -> Assessment: promises with their arithmetic, what each disruption does, the findings, worst first.

Findings that the owner accepts stand last, and do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from outlast.assessment.acceptance import Acceptance
from outlast.assessment.amplification import Path
from outlast.assessment.availability import Availability
from outlast.assessment.disruption import Disruption
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Finding, Severity, severities
from outlast.assessment.impact import Impact
from outlast.assessment.promise import Promise
from outlast.assessment.rule import Rule, findings
from outlast.assessment.rulebook import known_rules
from outlast.assessment.spread import shared_fates, single_points
from outlast.assessment.system import System


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; the same system, evidence and `now` give the same one."""

    system: str
    file: str
    at: float
    """Seconds since 1970: when evidence is judged."""
    components: int
    edges: int
    findings: tuple[Finding, ...]
    promises: tuple[Promise, ...]
    availability: Mapping[str, Availability]
    """By class of work."""
    impacts: tuple[Impact, ...]
    """Of each component, zone, region: the widest first."""
    single_points: tuple[str, ...]
    """Components whose loss takes a whole class of work down."""
    shared_fates: Mapping[str, tuple[str, ...]]
    """What fails together, by what it shares: a zone, a region, a provider, an account."""
    cycles: tuple[tuple[str, ...], ...]
    amplification: tuple[Path, ...]
    """The worst call paths, largest first."""
    what_if: tuple[Impact, ...] = ()
    """The disruptions that were asked about."""
    counts: Mapping[str, int] = {}
    """Findings by severity, without those that are accepted."""
    accepted: int = 0
    """Findings that the owner lives with today."""


def assess(
    system: System,
    now: float,
    what_if: Iterable[Disruption] = (),
    rules: tuple[Rule, ...] | None = None,
    seed: int = 1,
) -> Assessment:
    """Everything about `system` at `now` (seconds since 1970). `rules`: ours and those of installed packages."""
    facts = Facts(system, now, seed)
    for rule in sorted(rules or known_rules(), key=lambda rule: rule.last):
        facts.found.extend(findings(rule, facts))
    found = [_accepted(finding, system.acceptances, now) for finding in facts.found]
    found.sort(key=lambda one: (one.accepted, -severities.index(one.severity), -one.score, one.rule, one.subject))
    counted = [one.severity for one in found if not one.accepted]
    return Assessment(
        system=system.name,
        file=system.file,
        at=now,
        components=len(system.components),
        edges=len(system.edges),
        findings=tuple(found),
        promises=facts.promises,
        availability={work: facts.availability(work) for work in facts.graph.works},
        impacts=facts.everything,
        single_points=tuple(point.component for point in single_points(facts.graph, facts.losses)),
        shared_fates=shared_fates(facts.graph),
        cycles=facts.graph.cycles,
        amplification=facts.paths,
        what_if=tuple(facts.impact(disruption) for disruption in what_if),
        counts={severity: counted.count(severity) for severity in reversed(severities)},
        accepted=len(found) - len(counted),
    )


def _accepted(finding: Finding, acceptances: tuple[Acceptance, ...], now: float) -> Finding:
    """The finding with what its owner says of it; of several words the one that holds longest."""
    said = [one for one in acceptances if one.concerns(finding.rule, finding.subject, finding.components)]
    if not said:
        return finding
    last = max(said, key=lambda one: one.until)
    return msgspec.structs.replace(finding, acceptance=last, accepted=last.holds(now))


def at_least(assessment: Assessment, severity: Severity) -> tuple[Finding, ...]:
    """The findings that are as bad as `severity`, or worse, and that nobody has accepted."""
    least = severities.index(severity)
    return tuple(one for one in assessment.findings if not one.accepted and severities.index(one.severity) >= least)
