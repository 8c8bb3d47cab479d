"""Recovery times and losses, with the sums behind them."""

from __future__ import annotations

import pytest

from outlast.assessment.assess import Assessment
from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.precaution import Evidence
from outlast.assessment.promise import Promise
from tests.assessment.blueprints import DAY, NOW, assessment_of

REGIONS = """
objectives:
  live:
    survive:
      process: {rto: 1s, rpo: 0s}
      zone: {rto: 1m, rpo: 0s}
      region: {rto: 60s, rpo: 5s}
      corruption: {rto: 1h, rpo: 5m}
regions:
  strategy: warm_standby
  home: {aws: eu-central-1}
  standby: {aws: eu-west-1}
  edge: {host: a.example.com, ttl: 20s, probe: {every: 10s, fail_after: 3}}
  failover: {mode: automatic, max_lag: 5s, takes: 10s}
agents:
  helper: {class: live, workers: {min: 3}, needs: {orders: hard}}
stores:
  journal: {aws: dynamodb, across_regions: eventual}
  orders: {kind: sql, data: critical, aws: aurora_global, standbys: 1}
backup:
  journal: {point_in_time: 35d, restore_takes: 20m}
  orders: {full_every: 6h, restore_takes: 2h}
"""


def of(assessment: Assessment, measure: str, kind: DisruptionKind, work: str = "live") -> Promise:
    return next(one for one in assessment.promises if (one.work, one.measure, one.disruption) == (work, measure, kind))


def shown(promise: Promise) -> str:
    return "\n".join(map(str, promise.lines))


def test_a_process_is_replaced_within_the_takeover_time() -> None:
    promise = of(assessment_of(REGIONS), "rto", "process")
    assert (promise.estimated, promise.status) == (1.0, "met by design")
    assert "takeover_after" in shown(promise)


def test_a_zone_is_survived_as_fast_as_the_slowest_takeover() -> None:
    promise = of(assessment_of(REGIONS), "rto", "zone")
    assert promise.estimated == 60
    assert "orders" in shown(promise)


def test_a_region_is_detection_then_the_slowest_takeover_beside_dns() -> None:
    promise = of(assessment_of(REGIONS), "rto", "region")
    assert promise.estimated == 3 * 10 + 300  # Aurora Global takes minutes
    assert promise.status == "missed by design"
    assert "3 probes of 10s" in shown(promise)
    assert "20s" in shown(promise)


def test_without_a_slow_store_dns_is_what_takes_longest() -> None:
    text = REGIONS.replace("needs: {orders: hard}", "needs: {orders: {strength: soft, on_loss: wait}}")
    promise = of(assessment_of(text), "rto", "region")
    assert promise.estimated == 3 * 10 + max(20, 10)
    assert promise.status == "met by design"


def test_a_person_who_decides_is_part_of_the_sum() -> None:
    text = REGIONS.replace("mode: automatic, ", "")
    promise = of(assessment_of(text), "rto", "region")
    assert promise.estimated == 3 * 10 + 900 + 300


def test_a_region_loses_the_lag_of_the_copy_that_counts() -> None:
    promise = of(assessment_of(REGIONS), "rpo", "region")
    assert promise.estimated == 5
    assert "journal" in shown(promise)


def test_a_bound_on_the_lag_makes_no_copy_faster() -> None:
    promise = of(assessment_of(REGIONS.replace("max_lag: 5s", "max_lag: 100ms")), "rpo", "region")
    assert promise.estimated == 1
    assert "assumption" in shown(promise)


def test_any_instant_is_restored_in_its_own_region_only() -> None:
    """A region that is lost leaves the whole copies that were taken elsewhere."""
    backed = "  journal: {point_in_time: 35d, copies: [standby]"
    text = (
        REGIONS.replace("strategy: warm_standby", "strategy: backup_restore")
        .replace("journal: {aws: dynamodb, across_regions: eventual}", "journal: {aws: dynamodb}")
        .replace("  journal: {point_in_time: 35d", backed)
        .replace("  orders: {full_every", "  orders: {copies: [standby], full_every")
    )
    assert of(assessment_of(text), "rpo", "region").estimated == DAY
    often = text.replace(backed, backed + ", full_every: 12h")
    assert of(assessment_of(often), "rpo", "region").estimated == DAY / 2


def test_corruption_is_noticed_decided_and_restored() -> None:
    promise = of(assessment_of(REGIONS), "rto", "corruption")
    assert promise.estimated == 900 + 2 * 3600
    assert promise.status == "missed by design"


def test_corruption_loses_what_is_newer_than_the_last_good_backup() -> None:
    promise = of(assessment_of(REGIONS), "rpo", "corruption")
    assert promise.estimated == 6 * 3600


def test_data_without_a_backup_is_lost_for_good() -> None:
    text = REGIONS.replace("  orders: {full_every: 6h, restore_takes: 2h}\n", "")
    assessment = assessment_of(text)
    assert of(assessment, "rto", "corruption").estimated is None
    assert of(assessment, "rpo", "corruption").estimated is None


def test_a_component_may_promise_less_than_its_class() -> None:
    text = REGIONS.replace(
        "aws: aurora_global, standbys: 1", "aws: aurora_global, standbys: 1, survive: {region: {rto: 10m, rpo: 2s}}"
    )
    assessment = assessment_of(text)
    assert of(assessment, "rto", "region", "orders").status == "met by design"
    assert of(assessment, "rpo", "region", "orders").estimated == 1


def test_what_a_component_promises_for_itself_is_not_held_against_its_class() -> None:
    text = REGIONS.replace("max_lag: 5s, ", "max_lag: 20s, ").replace(
        "across_regions: eventual}", "across_regions: eventual, survive: {region: {rpo: 1m}}}"
    )
    assessment = assessment_of(text)
    assert of(assessment, "rpo", "region", "journal").estimated == 20
    assert of(assessment, "rpo", "region").estimated == 1  # that of Aurora


@pytest.mark.parametrize(
    ("days", "passed", "rto", "status", "state"),
    [
        (3, True, 45.0, "met by drill", "current"),
        (3, False, 400.0, "missed by drill", "failed"),
        (40, True, 45.0, "missed by design", "expired"),
    ],
)
def test_a_drill_of_the_last_thirty_days_outweighs_the_estimate(
    days: int, passed: bool, rto: float, status: str, state: str
) -> None:
    drill = Evidence(drill="region-off", at=NOW - days * DAY, passed=passed, disruption="region", rto_s=rto)
    promise = of(assessment_of(REGIONS, (drill,)), "rto", "region")
    assert (promise.status, promise.evidence_state) == (status, state)
    assert promise.evidence_age_s == days * DAY
