"""What stands before several classes of work leads each to its own: the loss of one is not felt by the other."""

from __future__ import annotations

import pytest

from outlast.assessment.disruption import Disruption
from outlast.assessment.facts import Facts
from outlast.assessment.impact import State
from outlast.blueprint.load import parse
from outlast.bootstrap.pricing import price_book
from tests.assessment.blueprints import NOW, system_of

SHOP = """
objectives:
  live: {survive: {zone: {rto: 1m}}}
  batch: {survive: {zone: {rto: 4h}}}
load: {live: {steady: 1/s, peak: 9/s}, batch: {steady: 1/s, peak: 2/s}}
regions: {home: {aws: eu-central-1}}
services:
  way: {kind: gateway, aws: api_gateway, needs: {front: hard}}
  front: {kind: load_balancer, aws: alb, needs: {shop: hard, reports: hard, login: hard}}
  shop: {kind: api, class: live, redundancy: 3, needs: {orders: hard}}
  reports: {kind: api, class: batch, redundancy: 1, needs: {archive: hard}}
  login: {kind: api, redundancy: 3}
stores:
  orders: {kind: key_value, aws: dynamodb}
  archive: {kind: sql, aws: rds}
"""


@pytest.fixture
def facts() -> Facts:
    return Facts(system_of(SHOP), NOW)


@pytest.mark.parametrize(
    ("lost", "live", "batch"),
    [
        ("reports", State.UNTOUCHED, State.DOWN),
        ("archive", State.UNTOUCHED, State.DOWN),
        ("shop", State.DOWN, State.UNTOUCHED),
        ("orders", State.DOWN, State.UNTOUCHED),
        ("login", State.DOWN, State.DOWN),
        ("front", State.DOWN, State.DOWN),
        ("way", State.DOWN, State.DOWN),
    ],
)
def test_a_loss_is_felt_by_those_whom_it_is_on_the_way_of(facts: Facts, lost: str, live: State, batch: State) -> None:
    impact = facts.impact(Disruption("dependency", lost))
    assert impact.work == {"live": live, "batch": batch}


def test_a_class_stands_on_its_own_way_alone(facts: Facts) -> None:
    assert {"way", "front", "shop", "orders", "login"} <= facts.graph.hard["live"]
    assert not {"reports", "archive"} & facts.graph.reach["live"]
    assert facts.graph.hard_works_of["archive"] == ("batch",)


def test_its_availability_and_its_load_are_those_of_its_own_way(facts: Facts) -> None:
    lost = {name for name, _ in facts.availability("live").losses}
    assert "shop" in lost
    assert not {"reports", "archive"} & lost
    assert facts.availability("live").share > facts.availability("batch").share
    assert facts.demands["reports"].rate == 2
    assert facts.demands["front"].rate == 11


def test_the_recovery_of_one_class_does_not_wait_for_the_other(facts: Facts) -> None:
    assert facts.recovery("live", Disruption("zone", "eu-central-1a")).rto_s == 0
    assert facts.recovery("batch", Disruption("zone", "eu-central-1a")).rto_s > 0


def test_the_plan_spends_on_a_class_what_that_class_has_promised() -> None:
    from outlast.assessment.plan import plan

    text = """
objectives: {live: {survive: {zone: {rto: ZONE}}}, batch: {survive: {zone: {rto: 4h}}}}
load: {live: {steady: 1/s, peak: 5/s}, batch: {steady: 1/s, peak: 2/s}}
regions: {home: {aws: eu-central-1}, edge: {host: a.example.com}}
agents: {shop: {class: live, capacity: 2/s}, reports: {class: batch, capacity: 2/s}}
stores: {journal: {aws: dynamodb}}
"""
    chosen = [
        {one.subject: one.chosen for one in plan(parse(text.replace("ZONE", zone).encode()), price_book()).decisions}
        for zone in ("4h", "10s")
    ]
    assert {subject for subject in chosen[0] if chosen[0][subject] != chosen[1][subject]} == {"shop"}


def test_the_time_of_a_turn_is_that_of_its_own_way() -> None:
    text = SHOP.replace("{shop: hard, reports: hard, login: hard}", "{shop: {timeout: 2s}, reports: {timeout: 9m}}")
    text = text.replace("live: {survive", "live: {latency: {request_p99: 5s}, survive")
    (promise,) = (one for one in Facts(system_of(text), NOW).promises if one.measure == "latency")
    assert (promise.estimated, promise.status) == (2.0, "met by design")
