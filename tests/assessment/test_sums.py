"""Amplification, time-outs, backlogs, demand, residency, evidence: the small sums."""

from __future__ import annotations

import math

import pytest

from outlast.assessment.amplification import attempts, worst_paths
from outlast.assessment.arithmetic import rate_text, share_text, time_text
from outlast.assessment.backlog import backlog
from outlast.assessment.component import Site
from outlast.assessment.edge import Edge
from outlast.assessment.evidence import day_s, latest, state_of
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Load
from outlast.assessment.precaution import Evidence
from outlast.assessment.quota import demands, fullest_zone
from outlast.assessment.residency import geography, stays
from outlast.assessment.timeout import inversions, longest_turn_s
from tests.assessment.systems import graph, service, system

WEB = service("web", classes=("live",))
CHAIN = (
    Edge(source="web", target="core", retries=2, timeout_s=Figure(3.0)),
    Edge(source="core", target="base", retries=2, timeout_s=Figure(2.0)),
)


def test_retries_multiply_along_a_path() -> None:
    worst = worst_paths(graph(WEB, service("core"), service("base"), edges=CHAIN))[0]
    assert worst.components == ("web", "core", "base")
    assert worst.attempts == 9
    assert worst.retrying == 2


def test_a_retry_budget_bounds_them() -> None:
    assert attempts(Edge(source="a", target="b", retries=5, retry_budget=0.1)) == pytest.approx(1.1)


def test_retries_in_a_circle_end() -> None:
    edges = (*CHAIN, Edge(source="base", target="web", retries=2))
    assert max(path.attempts for path in worst_paths(graph(WEB, service("core"), service("base"), edges=edges))) == 9


def test_an_outer_time_out_shorter_than_all_inner_attempts_is_an_inversion() -> None:
    found = list(inversions(graph(WEB, service("core"), service("base"), edges=CHAIN)))
    assert [(one.outer, one.outer_s, one.inner_s) for one in found] == [("web -> core", 3.0, 6.0)]


def test_time_outs_of_calls_that_follow_one_another_add_up() -> None:
    edges = (*CHAIN[:1], Edge(source="web", target="base", timeout_s=Figure(1.0), calls=2))
    seconds, _ = longest_turn_s(graph(WEB, service("core"), service("base"), edges=edges), "web")
    assert seconds == 3 * 3 + 2 * 1


def test_a_backlog_grows_with_the_outage_and_drains_with_the_spare() -> None:
    found = backlog(arrival=10, capacity=15, outage_s=600)
    assert found.messages == 6000
    assert found.drain_s == 1200


def test_a_backlog_never_drains_without_spare_capacity() -> None:
    assert backlog(arrival=10, capacity=10, outage_s=60).drain_s == math.inf
    assert backlog(arrival=0, capacity=0, outage_s=60).drain_s == 0


def test_demand_is_the_peak_times_the_calls_of_all_classes() -> None:
    batch = service("batch", classes=("batch",))
    edges = (Edge(source="web", target="core", calls=2), Edge(source="batch", target="core", calls=3))
    load = {"live": Load(name="live", peak=10), "batch": Load(name="batch", peak=1)}
    found = demands(graph(WEB, batch, service("core"), edges=edges, load=load))
    assert found["core"].rate == 23


def test_the_fullest_zone_is_the_one_to_lose() -> None:
    assert fullest_zone(Site("here", ("a", "b", "c"), 5))[1] == 2


@pytest.mark.parametrize(
    ("place", "residency", "inside"),
    [
        ("eu-central-1", "eu", True),
        ("eu-west-2", "eu", False),  # London is not in the European Union
        ("us-east-1", "eu", False),
        ("global", "eu", False),
        ("eu", "eu", True),
        ("eu-west-1", "eu-central-1", False),
        ("anywhere", "", True),
    ],
)
def test_residency(place: str, residency: str, inside: bool) -> None:
    assert stays(place, residency) is inside


def test_geographies_of_profiles_and_regions() -> None:
    assert geography("apac") == geography("ap-southeast-2") == "apac"


def test_evidence_expires_after_thirty_days_and_the_latest_counts() -> None:
    old = Evidence(drill="zone-off", at=0.0, passed=True, disruption="zone", rto_s=5.0)
    new = Evidence(drill="zone-off", at=day_s, passed=False, disruption="zone", rto_s=500.0)
    found = latest(system(WEB, evidence=(new, old)), "live", "zone", day_s, ())
    assert found == new
    assert state_of(found, day_s) == "failed"
    assert state_of(old, 30 * day_s) == "current"
    assert state_of(old, 31 * day_s) == "expired"
    assert state_of(None, 0.0) == "none"


def test_of_each_component_the_newest_result_counts_and_of_these_the_worst() -> None:
    def shown(subject: str, at: float, rto_s: float | None, passed: bool = True) -> Evidence:
        return Evidence(drill="d", at=at, passed=passed, disruption="process", subject=subject, rto_s=rto_s)

    results = (
        shown("web", 1.0, 90.0),
        shown("web", 2.0, 3.0),
        shown("base", 2.0, 5.0),
        shown("base", 3.0, None),
        shown("gone", 9.0, 500.0, passed=False),
    )

    def counts(results: tuple[Evidence, ...], now: float = day_s) -> Evidence | None:
        return latest(system(WEB, evidence=results), "live", "process", now, ("web", "base"))

    assert counts(results) == results[1]
    assert counts(results[:3]) == results[2]
    failed = shown("web", 4.0, 1.0, passed=False)
    assert counts((*results, failed)) == failed
    fresh = shown("base", 40 * day_s, 1.0)
    assert counts((*results, fresh), 41 * day_s) == fresh
    assert latest(system(WEB, evidence=results), "live", "zone", day_s, ("web",)) is None


def test_numbers_read_well() -> None:
    assert [share_text(one) for one in (1.0, 0.9995, 0.995, 0.9999979, 0.5)] == [
        "100%",
        "99.95%",
        "99.5%",
        "99.99979%",
        "50%",
    ]
    assert [time_text(one) for one in (0, 0.3, 90, 5517, math.inf)] == ["0s", "300ms", "1.5m", "1.53h", "never"]
    assert [rate_text(one) for one in (0, 25, 0.5, 0.001)] == ["0/s", "25/s", "30/m", "3.6/h"]
