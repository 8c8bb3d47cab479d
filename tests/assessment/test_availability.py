"""The availability of classes of work, against closed forms."""

from __future__ import annotations

import pytest

from outlast.assessment import structure
from outlast.assessment.availability import availability, outage_s
from outlast.assessment.component import Component, Copies, Site
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.region import Region, Routing
from tests.assessment.systems import graph, service


def test_a_chain_is_the_product_of_its_parts() -> None:
    web = service("web", classes=("live",))
    found = availability(
        graph(
            web,
            service("core"),
            service("base"),
            edges=(Edge(source="web", target="core"), Edge(source="core", target="base")),
        ),
        "live",
    )
    assert found.share == pytest.approx(0.99**3)
    assert found.method == "exact"
    assert found.error == 0


def test_what_is_soft_or_asynchronous_takes_nothing_away() -> None:
    edges = (
        Edge(source="web", target="extra", hard=False),
        Edge(source="web", target="later", synchronous=False),
    )
    found = availability(
        graph(service("web", classes=("live",)), service("extra"), service("later"), edges=edges), "live"
    )
    assert found.share == pytest.approx(0.99)


def test_two_of_three_instances_in_three_zones() -> None:
    web = service("web", instances=3, needed=2, zones=("a", "b", "c"), classes=("live",))
    found = availability(graph(web, zone_availability=Figure(0.999)), "live")
    each = 0.99 * 0.999
    assert found.share == pytest.approx(3 * each**2 * (1 - each) + each**3)


def test_zones_that_two_components_share_are_counted_once() -> None:
    web = service("web", instances=2, zones=("a", "b"), classes=("live",))
    core = service("core", instances=2, zones=("a", "b"))
    found = availability(
        graph(web, core, edges=(Edge(source="web", target="core"),), zone_availability=Figure(0.9)), "live"
    )
    both, one = 0.9**2, 2 * 0.9 * 0.1
    assert found.share == pytest.approx(both * (1 - 0.01**2) ** 2 + one * 0.99**2)


def test_alternatives_are_parallel() -> None:
    edges = tuple(Edge(source="model", target=name, any_of="endpoints") for name in ("one", "two"))
    model = Component(name="model", kind="model", classes=("live",), availability=Figure(1.0))
    found = availability(graph(model, service("one"), service("two"), edges=edges), "live")
    assert found.share == pytest.approx(1 - 0.01**2)


def test_what_alternatives_share_takes_both() -> None:
    edges = (
        *(Edge(source="model", target=name, any_of="endpoints") for name in ("one", "two")),
        *(Edge(source=name, target="provider") for name in ("one", "two")),
    )
    model = Component(name="model", kind="model", classes=("live",), availability=Figure(1.0))
    found = availability(graph(model, service("one"), service("two"), service("provider"), edges=edges), "live")
    assert found.share == pytest.approx(0.99 * (1 - 0.01**2))


def test_a_takeover_counts_as_down() -> None:
    copies = Copies("sync", takeover_s=Figure(36.0))
    sql = service("sql", kind="sql", instances=2, zones=("a", "b"), classes=("live",), across_zones=copies)
    found = availability(graph(sql), "live")
    assert found.share == pytest.approx((1 - 0.01**2) * (1 - 0.01 * 36 / 3600))


def test_a_second_region_counts_less_the_failover() -> None:
    sites = (Site("here", ()), Site("there", (), standby=True))
    web = Component(name="web", kind="service", classes=("live",), sites=sites, availability=Figure(0.99))
    routing = Routing(ttl_s=Figure(60.0), probe_every_s=Figure(10.0), probe_failures=3)
    regions = (Region(name="here"), Region(name="there", standby=True))
    found = availability(graph(web, regions=regions, routing=routing, region_availability=Figure(0.99)), "live")
    one = 0.99 * 0.99
    moved = 1 - (30 + 900 + 60) / outage_s  # nobody fails over by itself here: a person decides in 900 s
    assert found.share == pytest.approx(1 - (1 - one) * (1 - one * moved))


def test_with_too_many_shared_parts_it_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    web = service("web", instances=3, needed=2, zones=("a", "b", "c"), classes=("live",))
    core = service("core", instances=3, needed=2, zones=("a", "b", "c"))
    drawn = graph(web, core, edges=(Edge(source="web", target="core"),), zone_availability=Figure(0.99))
    known = availability(drawn, "live")
    monkeypatch.setattr(structure, "visits_max", 3)
    found = availability(drawn, "live", seed=5)
    assert found.method == "Monte Carlo, 200000 samples, seed 5"
    assert found.error > 0
    assert abs(found.share - known.share) <= 5 * found.error


def test_a_circle_of_needs_ends() -> None:
    edges = (Edge(source="a", target="b"), Edge(source="b", target="a"))
    found = availability(graph(service("a", classes=("live",)), service("b"), edges=edges), "live")
    assert found.share == pytest.approx(0.99**2)


def test_each_part_is_listed_with_what_it_costs_the_worst_first() -> None:
    web = service("web", classes=("live",), availability=Figure(0.999))
    found = availability(graph(web, service("core"), edges=(Edge(source="web", target="core"),)), "live")
    assert [name for name, _ in found.losses] == ["core", "web"]
    assert found.lines[0].text.startswith("core")
    assert found.lines[0].value == "99%"


def test_instances_that_two_alternatives_stand_on_are_not_counted_twice() -> None:
    """Either model will do, and both answers come through one gateway of two instances."""
    gate = service("gate", instances=2, needed=1, zones=("a", "b"), availability=Figure(0.9))
    one, two = (service(name, availability=Figure(0.8)) for name in ("one", "two"))
    web = service("web", classes=("live",), availability=Figure(1.0))
    edges = (
        Edge(source="web", target="one", any_of="models"),
        Edge(source="web", target="two", any_of="models"),
        Edge(source="one", target="gate"),
        Edge(source="two", target="gate"),
    )
    found = availability(graph(web, one, two, gate, edges=edges), "live")
    assert found.share == pytest.approx((1 - 0.1**2) * (1 - 0.2**2))


def test_a_fleet_of_a_thousand_million_takes_no_longer() -> None:
    web = service("web", classes=("live",), instances=10**9, needed=10**9 - 10**8, zones=("a", "b", "c"))
    found = availability(graph(web, zone_availability=Figure(0.999)), "live")
    assert found.method == "exact"
    assert found.share == pytest.approx(0.999**3)
