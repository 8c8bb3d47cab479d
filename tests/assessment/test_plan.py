"""The plan: a looser promise never costs more, each promise moves its decision, what is planned is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlast.assessment.cost import monthly
from outlast.assessment.describe import describe
from outlast.assessment.facts import Facts
from outlast.assessment.plan import Plan, compare, plan, planned
from outlast.blueprint.load import load_file, parse
from outlast.blueprint.objective import Recovery, Survive
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.pricing import price_book

EXAMPLES = Path(__file__).parents[2] / "examples"
BOOK = price_book()

SHOP = """
name: shop
objectives:
  live: {survive: {}}
  later: {survive: {}}
load: {live: {steady: 1/s, peak: 5/s}, later: {steady: 1/s, peak: 2/s}}
regions: {home: {aws: eu-central-1, zones: 3}}
agents:
  support: {class: live, capacity: 2/s, needs: {writer: {timeout: 5s}, journal: hard, orders: hard, index: soft}}
  intake: {class: later, needs: {journal: hard, files: hard, index: hard}}
models:
  writer:
    endpoints: [{name: nova, bedrock: "eu.amazon.nova-lite-v1:0"}]
    fallback: {name: own, sagemaker: w, type: ml.g6.2xlarge, min: 1}
stores:
  journal: {kind: journal, data: critical, aws: dynamodb, size: 10GiB}
  orders: {kind: sql, data: critical, aws: SQL, size: 20GiB}
  files: {kind: blobs, data: DATA, aws: s3, size: 100GiB}
  index: {kind: vector, data: rebuildable, from: files, aws: opensearch, size: 10GiB}
"""
KINDS = ("process", "node", "zone", "region", "corruption", "dependency")
TIMES = (0.0, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 700_000.0, None)
"""From what nothing can promise to nothing promised."""
SHARES = (0.99999, 0.9995, 0.999, 0.99, None)


def shop(
    sql: str = "rds",
    data: str = "critical",
    availability: float | None = None,
    **survive: dict[str, tuple[float | None, float | None]],
) -> Blueprint:
    """The shop, with promises by class and disruption; `availability` is that of `live`."""
    blueprint = parse(SHOP.replace("SQL", sql).replace("DATA", data).encode())
    objectives = dict(blueprint.objectives)
    for work, promises in survive.items():
        made = Survive(**{kind: Recovery(rto, rpo) for kind, (rto, rpo) in promises.items()})
        objectives[work] = msgspec.structs.replace(objectives[work], survive=made)
    objectives["live"] = msgspec.structs.replace(objectives["live"], availability=availability)
    return msgspec.structs.replace(blueprint, objectives=objectives)


def chosen(blueprint: Blueprint) -> dict[str, str]:
    """By decision and subject, what was decided."""
    return {f"{one.question} of {one.subject}": one.chosen for one in plan(blueprint, BOOK).decisions}


@st.composite
def _two_shops(draw: st.DrawFn) -> tuple[Blueprint, Blueprint]:
    """One shop, and the same with one promise loosened: an RTO, an RPO, or the availability."""
    times = st.integers(0, len(TIMES) - 1)
    promises = {
        work: {kind: [draw(times), draw(times)] for kind in draw(st.sets(st.sampled_from(KINDS), min_size=1))}
        for work in ("live", "later")
    }
    work = draw(st.sampled_from(("live", "later")))
    kind = draw(st.sampled_from(sorted(promises[work])))
    measure = draw(st.integers(0, 2))
    available = draw(st.integers(0, len(SHARES) - 1))
    sql, data = draw(st.sampled_from(("rds", "aurora", "dynamodb"))), draw(st.sampled_from(("critical", "eventual")))

    def made() -> Blueprint:
        read: dict[str, Any] = {
            name: {kind: (TIMES[rto], TIMES[rpo]) for kind, (rto, rpo) in found.items()}
            for name, found in promises.items()
        }
        return shop(sql, data, SHARES[available], **read)

    tight = made()
    if measure == 2:
        available = draw(st.integers(available, len(SHARES) - 1))
    else:
        promises[work][kind][measure] = draw(st.integers(promises[work][kind][measure], len(TIMES) - 1))
    return tight, made()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_two_shops())
def test_a_looser_promise_never_makes_the_plan_dearer(shops: tuple[Blueprint, Blueprint]) -> None:
    tight, loose = shops
    assert monthly(planned(loose), BOOK) <= monthly(planned(tight), BOOK) + 0.01


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ((14_400.0, 900.0), "a single instance"),
        ((120.0, 0.0), "Multi-AZ instance: a synchronous standby"),
        ((35.0, 0.0), "Multi-AZ cluster: two readable standbys"),
    ],
)
def test_the_database_is_as_redundant_as_a_lost_zone_asks(promise: tuple[float, float], expected: str) -> None:
    made = chosen(shop(live={"zone": promise}))
    assert made["database redundancy of orders"] == expected


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ((86_400.0, None), "one region"),
        ((86_400.0, 86_400.0), "backup and restore, a person decides"),
        ((3600.0, 60.0), "pilot light, a person decides"),
        ((60.0, 60.0), "warm standby, all of it running, automatic, probes every 10 s, names kept 20 s"),
    ],
)
def test_the_strategy_is_the_cheapest_that_a_lost_region_admits(
    promise: tuple[float, float | None], expected: str
) -> None:
    assert chosen(shop(sql="dynamodb", later={"region": promise}))["regions and strategy of a lost region"] == expected


def test_losing_nothing_with_a_region_takes_strong_writes_and_a_third_region() -> None:
    blueprint = shop(sql="dynamodb", live={"region": (3600.0, 0.0)})
    assert chosen(blueprint)["data in other regions of journal"].startswith("strong")
    regions = planned(blueprint).regions
    assert regions is not None
    assert [region.aws for region in regions.all().values()] == ["eu-central-1", "eu-west-1", "eu-north-1"]


def test_what_no_design_meets_is_said_and_planned_as_well_as_it_can_be() -> None:
    made = plan(shop(sql="aurora", live={"region": (3600.0, 0.0)}), BOOK)
    orders = next(one for one in made.decisions if (one.question, one.subject) == ("data in other regions", "orders"))
    assert orders.chosen == "a copy that follows"
    assert orders.unmet == ("live: rpo 0s when a region is lost: 1s at best",)
    assert any(one.startswith("live: rpo when a region is lost 0s, by design") for one in made.missed)


def test_a_store_without_a_standby_is_backed_up_as_often_as_a_lost_zone_may_cost() -> None:
    made = chosen(shop(live={"zone": (14_400.0, 900.0), "corruption": (86_400.0, 700_000.0)}))
    assert made["backups of orders"].startswith("any instant")


def test_critical_data_is_backed_up_also_when_no_objective_asks() -> None:
    made = chosen(shop())
    assert made["backups of journal"] == "a copy every week"
    assert chosen(shop(data="eventual"))["backups of files"] == "none"


def test_instances_follow_load_capacity_and_the_zones_that_may_be_lost() -> None:
    promised = chosen(shop(live={"zone": (10.0, 0.0)}))["instances of support"]
    # 5/s over 2/s: 3 carry the peak, 6 carry it with 4 of them left
    assert promised == "6 in 3 zones: the peak is carried without any one zone"
    assert chosen(shop(availability=0.995))["instances of support"].startswith("4 in 3 zones: one to spare")
    assert chosen(shop())["instances of support"].startswith("3 in 3 zones: what the peak needs")


def test_a_decision_says_what_would_have_to_change_and_what_that_saves() -> None:
    made = plan(shop(live={"zone": (120.0, 0.0)}), BOOK)
    database = next(one for one in made.decisions if one.question == "database redundancy")
    assert database.why[0] == "live: rto 2m when a zone is lost; 'a single instance' gives 1h"
    assert database.cheaper.startswith("'a single instance' would do if the rto of live were 1h or more")
    assert database.cheaper.endswith("USD a month less")
    assert database.lines[-1] == "until a client's next success: 2m"
    # the saving is the difference of two whole bills
    without = msgspec.structs.replace(shop(), objectives={})
    assert monthly(planned(without), BOOK) < made.usd


@pytest.mark.parametrize("name", ["one_region_budget", "two_regions_warm_standby", "three_regions_active_active"])
def test_the_plan_of_an_example_meets_its_promises_by_design(name: str) -> None:
    blueprint, _ = load_file(EXAMPLES / "blueprints" / f"{name}.yaml")
    made = plan(blueprint, BOOK)
    assert made.missed == ()
    facts = Facts(describe(planned(blueprint)), now=0.0)
    assert {promise.status for promise in facts.promises} == {"met by design"}
    assert made.usd <= made.declared_usd


def test_two_plans_are_compared_decision_by_decision() -> None:
    tight, loose = plan(shop(live={"zone": (35.0, 0.0)}), BOOK), plan(shop(live={"zone": (14_400.0, 900.0)}), BOOK)
    differences = {(one.question, one.subject): (one.before, one.after) for one in compare(tight, loose)}
    assert differences["database redundancy", "orders"] == (
        "Multi-AZ cluster: two readable standbys", "a single instance",
    )  # fmt: skip
    assert loose.usd < tight.usd
    assert compare(tight, tight) == ()


def test_a_region_that_serves_beside_others_holds_what_the_loss_of_the_largest_sends_it() -> None:
    blueprint, _ = load_file(EXAMPLES / "blueprints" / "three_regions_active_active.yaml")
    made: Plan = plan(blueprint, BOOK)
    needed = {one.region: one.needed for one in made.headroom if (one.component, one.bound) == ("help", "capacity")}
    assert needed == {
        "eu-central-1": pytest.approx(30 * 0.34 / 0.67),
        "eu-west-1": pytest.approx(30 * 0.33 / 0.66),
        "eu-west-3": pytest.approx(30 * 0.33 / 0.66),
    }


def test_what_a_region_is_restored_from_is_a_day_old_at_most() -> None:
    made = chosen(shop(sql="dynamodb", later={"region": (86_400.0, 86_400.0)}))
    assert made["backups of journal"] == "a copy every day"


def test_a_region_that_runs_has_data_also_where_no_promise_says_how_young() -> None:
    made = chosen(shop(sql="dynamodb", later={"region": (3600.0, None)}))
    assert made["data in other regions of journal"] == "a copy that follows"


def test_a_standby_spares_the_backups_that_would_stand_in_for_it() -> None:
    made = chosen(shop(live={"zone": (120.0, 0.0), "corruption": (86_400.0, 700_000.0)}))
    assert made["database redundancy of orders"].startswith("Multi-AZ instance")
    assert made["backups of orders"] == "a copy every week"


PROMISED: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "live": {"zone": (14_400.0, 900.0), "corruption": (86_400.0, 300.0), "region": (14_400.0, 60.0),
             "dependency": (3600.0, None)},
    "later": {"zone": (14_400.0, 900.0), "region": (86_400.0, 3600.0)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "work", "kind", "measure", "value", "decisions"),
    [
        ("rds", "live", "zone", 0, 120.0, {"database redundancy of orders": "Multi-AZ instance"}),
        ("rds", "live", "node", 0, 60.0, {"database redundancy of orders": "Multi-AZ cluster"}),
        ("rds", "live", "process", 0, 0.5, {"database redundancy of orders": "Multi-AZ instance"}),
        ("dynamodb", "live", "zone", 0, 35.0, {"instances of support": "6 in 3 zones: the peak is carried"}),
        ("rds", "later", "node", 0, 60.0, {"replicas of index": "a replica"}),
        ("rds", "live", "corruption", 1, 86_400.0, {"backups of journal": "a copy every day"}),
        ("rds", "live", "dependency", 0, 10.0, {"fallback of writer": "writer.own as fallback"}),
        ("dynamodb", "live", "region", 0, 60.0, {"regions and strategy of a lost region": "warm standby"}),
        ("dynamodb", "live", "region", 1, 0.0, {
            "data in other regions of journal": "strong", "data in other regions of orders": "strong",
        }),
        ("dynamodb", "later", "region", 1, 0.0, {"data in other regions of journal": "strong"}),
    ],
)  # fmt: skip
def test_one_objective_changes_the_decisions_that_it_bears_on_and_is_named_by_them(
    sql: str, work: str, kind: str, measure: int, value: float, decisions: dict[str, str]
) -> None:
    flipped = {name: dict(found) for name, found in PROMISED.items()}
    target = list(flipped[work].get(kind, (None, None)))
    target[measure] = value
    flipped[work][kind] = (target[0], target[1])
    before, after = (plan(shop(sql=sql, live=one["live"], later=one["later"]), BOOK) for one in (PROMISED, flipped))
    changed = {f"{one.question} of {one.subject}": one.after for one in compare(before, after)}
    assert changed.keys() == decisions.keys()
    for name, beginning in decisions.items():
        assert changed[name].startswith(beginning)
        made = next(one for one in after.decisions if f"{one.question} of {one.subject}" == name)
        assert any(why.startswith(f"{work}: {('rto', 'rpo')[measure]}") for why in made.why)
