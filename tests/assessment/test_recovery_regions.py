"""What a lost region costs: data made again from other data, and stores that are strong across regions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from outlast.assessment.assess import Assessment
from outlast.assessment.availability import availability
from outlast.assessment.component import Copies, Site
from outlast.assessment.disruption import Disruption
from outlast.assessment.facts import Facts
from outlast.assessment.figure import Figure
from outlast.assessment.impact import State
from outlast.assessment.promise import Promise
from outlast.assessment.region import Region
from tests.assessment.blueprints import NOW, assessment_of, system_of
from tests.assessment.systems import graph, service

HOUR = 3600.0
LEAD = 900.0  # nobody watches from outside, and a person decides
LAUNCH = 120.0

RESTORED = """
objectives: {live: {survive: {region: {rto: 8h, rpo: 24h}}}}
regions: {strategy: backup_restore, home: {aws: eu-central-1}, standby: {aws: eu-west-1}}
agents: {helper: {class: live, needs: {index: hard}}}
stores:
  journal: {aws: dynamodb}
  index: {kind: vector, data: rebuildable, from: documents, rebuild: 3h, aws: opensearch}
  documents: {kind: blobs, data: critical, aws: s3}
backup:
  journal: {full_every: 12h, copies: [standby], restore_takes: 20m}
  documents: {full_every: 6h, copies: [standby], restore_takes: 2h}
"""


def region(assessment: Assessment, measure: str, work: str = "live") -> Promise:
    found = [one for one in assessment.promises if one.work == work and one.disruption == "region"]
    return next(one for one in found if one.measure == measure)


def lines(promise: Promise) -> str:
    return "\n".join(map(str, promise.lines))


def test_what_is_made_from_kept_data_is_made_again_when_that_is_restored() -> None:
    rto = region(assessment_of(RESTORED), "rto")
    assert rto.estimated == LEAD + (LAUNCH + 2 * HOUR) + 3 * HOUR  # decided; documents launched and restored; rebuilt
    assert "documents: restored from a backup" in lines(rto)
    assert "index: made again from documents" in lines(rto)


def test_it_is_launched_beside_the_restore_of_its_source() -> None:
    quick = RESTORED.replace("restore_takes: 2h", "restore_takes: 1s").replace("rebuild: 3h", "rebuild: 10m")
    quick = quick.replace("restore_takes: 20m", "restore_takes: 1s")
    assert region(assessment_of(quick), "rto").estimated == LEAD + max(LAUNCH, LAUNCH + 1) + 600


def test_a_source_that_is_there_already_is_not_waited_for() -> None:
    there = RESTORED.replace("aws: s3}", "aws: s3, across_regions: eventual, regions: [home, standby]}")
    assert region(assessment_of(there), "rto").estimated == LEAD + LAUNCH + 3 * HOUR


def test_what_others_keep_is_a_source_too() -> None:
    text = RESTORED.replace("from: documents", "from: catalogue") + "external: {catalogue: {}}\n"
    assert region(assessment_of(text), "rto").estimated == LEAD + LAUNCH + 3 * HOUR


def test_it_waits_for_the_region_with_a_source_that_is_kept_nowhere_else() -> None:
    text = RESTORED.replace("  documents: {full_every: 6h, copies: [standby], restore_takes: 2h}\n", "")
    assert region(assessment_of(text), "rto").estimated == 12 * HOUR


def test_a_circle_of_sources_is_no_source() -> None:
    text = RESTORED.replace(
        "documents: {kind: blobs, data: critical,", "documents: {kind: blobs, data: rebuildable, from: index,"
    )
    text = text.replace("  documents: {full_every: 6h, copies: [standby], restore_takes: 2h}\n", "")
    assert region(assessment_of(text), "rto").estimated == 12 * HOUR


def test_its_own_backup_goes_before_its_source() -> None:
    text = RESTORED + "  index: {full_every: 24h, copies: [standby], restore_takes: 30m}\n"
    assert region(assessment_of(text), "rto").estimated == LEAD + max(LAUNCH + 1800, LAUNCH + 20 * 60)


def test_a_cache_is_launched_empty() -> None:
    text = RESTORED.replace("needs: {index: hard}", "needs: {answers: hard}").replace(
        "  documents: {kind", "  answers: {kind: cache, data: disposable, aws: valkey}\n  documents: {kind"
    )
    assert region(assessment_of(text), "rto").estimated == LEAD + LAUNCH + 20 * 60  # the journal takes longer


def test_what_is_made_again_loses_what_its_source_loses() -> None:
    text = RESTORED.replace("data: rebuildable, from: documents", "data: eventual, from: documents")
    assert region(assessment_of(text), "rpo").estimated == 12 * HOUR  # the journal's
    own = text.replace("rebuild: 3h", "rebuild: 3h, survive: {region: {rpo: 24h}}")
    assert region(assessment_of(own), "rpo", "index").estimated == 6 * HOUR
    bare = own.replace("  documents: {full_every: 6h, copies: [standby], restore_takes: 2h}\n", "")
    assert region(assessment_of(bare), "rpo", "index").estimated is None


STRONG = """
objectives: {live: {survive: {region: {rto: 60s, rpo: 0s}}}}
regions:
  strategy: warm_standby
  home: {aws: eu-central-1}
  standby: {aws: eu-west-1, running: 100%}
  edge: {host: a.example.com, ttl: 20s, probe: {every: 10s, fail_after: 3}}
  failover: {mode: automatic, takes: 10s}
agents: {helper: {class: live, workers: {min: 3}, needs: {journal: hard}}}
stores:
  journal: {aws: dynamodb, across_regions: strong}
"""
WITNESSED = STRONG.replace("  edge:", "  witness: {aws: eu-north-1, journal_only: true}\n  edge:")


def state(text: str, lost: str) -> State:
    return Facts(system_of(text), NOW).impact(Disruption("region", lost)).work["live"]


def test_strong_in_three_regions_loses_nothing_and_serves_when_the_traffic_has_moved() -> None:
    assessment = assessment_of(WITNESSED)
    assert region(assessment, "rto").estimated == 3 * 10 + max(20, 10)
    assert region(assessment, "rpo").estimated == 0
    assert state(WITNESSED, "eu-west-1") == State.WEAKENED
    assert state(WITNESSED, "eu-north-1") == State.UNTOUCHED


@pytest.mark.parametrize("lost", ["eu-central-1", "eu-west-1"])
def test_strong_in_two_regions_stops_with_either_of_them(lost: str) -> None:
    assert state(STRONG, lost) == State.DOWN


def test_strong_in_two_regions_waits_for_the_lost_one_and_still_loses_nothing() -> None:
    assessment = assessment_of(STRONG)
    rto = region(assessment, "rto")
    assert rto.estimated == 12 * HOUR
    assert rto.status == "missed by design"
    assert "2 of 3" in lines(rto)
    assert region(assessment, "rpo").estimated == 0


def test_a_third_region_that_does_not_hold_the_store_is_no_majority() -> None:
    third = STRONG.replace("  edge:", "  other: {aws: eu-north-1}\n  edge:")
    two = third.replace("across_regions: strong", "across_regions: strong, regions: [home, standby]")
    assert "OL-REG-010" in {one.rule for one in assessment_of(two).findings}
    assert "OL-REG-010" not in {one.rule for one in assessment_of(third).findings}
    assert "OL-REG-010" not in {one.rule for one in assessment_of(WITNESSED).findings}


@pytest.mark.parametrize("name", ["dynamodb", "DynamoDB", "ddb", "dynamodb-global", "dynamodb_global", "aurora_dsql"])
def test_a_store_that_can_be_strong_is_known_by_any_of_its_names(name: str) -> None:
    two = {one.rule for one in assessment_of(STRONG.replace("aws: dynamodb", f"aws: {name}")).findings}
    assert "OL-REG-010" in two
    assert "OL-AWS-002" not in two


def test_the_loss_of_the_standby_loses_no_data() -> None:
    text = WITNESSED.replace("across_regions: strong", "across_regions: eventual").replace("takes: 10s", "max_lag: 5s")
    promise = region(assessment_of(text), "rpo")
    assert promise.estimated == 5
    assert promise.worst == Disruption("region", "eu-central-1")


@pytest.mark.parametrize(("witness", "majority"), [(False, 2), (True, 2)])
def test_the_availability_counts_a_majority_of_the_regions(witness: bool, majority: int) -> None:
    names = ["a", "b", "c"] if witness else ["a", "b"]
    regions = [Region(name="a"), Region(name="b", standby=True)]
    if witness:
        regions.append(Region(name="c", standby=True, witness=True))
    sites = (Site("a"), Site("b", standby=True))
    store = service("store", kind="journal", availability=Figure(1.0), classes=("live",)).__class__(
        name="store", kind="journal", availability=Figure(1.0), classes=("live",), sites=sites,
        across_regions=Copies("sync", strong=True, quorum=3),
    )  # fmt: skip
    more: dict[str, Any] = {"regions": tuple(regions), "region_availability": Figure(0.9)}
    found = availability(graph(store, **more), "live").share
    moved = 1 - 900.0 / 3600  # a person decides; an outage is taken to last an hour
    expected = 0.0
    for ups in itertools.product((True, False), repeat=len(names)):
        chance = 1.0
        for up in ups:
            chance *= 0.9 if up else 0.1
        if sum(ups) >= majority:
            expected += chance * (1.0 if ups[0] else moved)
    assert found == pytest.approx(expected, abs=1e-12)


def test_versions_in_the_lost_region_are_lost_with_it() -> None:
    """They undo a mistake; what lies elsewhere are whole copies."""
    used = RESTORED.replace("index: hard", "documents: hard").replace("full_every: 12h", "full_every: 1h")
    text = used.replace("documents: {full_every: 6h,", "documents: {versions: 90d,")
    assert region(assessment_of(text), "rpo").estimated == 24 * HOUR
    often = text.replace("versions: 90d,", "versions: 90d, full_every: 2h,")
    assert region(assessment_of(often), "rpo").estimated == 2 * HOUR
