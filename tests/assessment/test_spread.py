"""What fails when something fails."""

from __future__ import annotations

import pytest

from outlast.assessment.component import Component, Copies, Site
from outlast.assessment.disruption import Disruption
from outlast.assessment.edge import Edge
from outlast.assessment.facts import Facts
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.impact import State
from outlast.assessment.spread import shared_fates, single_points, spread
from outlast.assessment.system import System
from tests.assessment.systems import graph, service, system


def lost(found: Graph, name: str) -> dict[str, State]:
    return {key: touch.state for key, touch in spread(found, Disruption("dependency", name)).touches.items()}


WEB = service("web", classes=("live",))


def test_what_is_hard_and_synchronous_goes_down_with_its_target_step_by_step() -> None:
    edges = (Edge(source="web", target="core"), Edge(source="core", target="base"))
    impact = spread(graph(WEB, service("core"), service("base"), edges=edges), Disruption("dependency", "base"))
    assert [(touch.component, touch.step, touch.via) for touch in impact.touches.values()] == [
        ("base", 0, ""),
        ("core", 1, "base"),
        ("web", 2, "core"),
    ]
    assert impact.work == {"live": State.DOWN}
    assert impact.share == 1


def test_time_outs_on_the_way_say_when_it_shows() -> None:
    edges = (
        Edge(source="web", target="core", timeout_s=Figure(2.0)),
        Edge(source="core", target="base", timeout_s=Figure(1.0), retries=2),
    )
    impact = spread(graph(WEB, service("core"), service("base"), edges=edges), Disruption("dependency", "base"))
    assert impact.touches["core"].after_s == 3
    assert impact.touches["web"].after_s == 5


@pytest.mark.parametrize(
    ("edge", "state"),
    [
        (Edge(source="web", target="base"), State.DOWN),
        (Edge(source="web", target="base", hard=False), State.DEGRADED),
        (Edge(source="web", target="base", on_loss="wait"), State.WAITING),
        (Edge(source="web", target="base", synchronous=False), State.WAITING),
        (Edge(source="web", target="base", cache_s=7200.0), State.DEGRADED),
        (Edge(source="web", target="base", cache_s=60.0), State.DOWN),
        (Edge(source="web", target="base", hard=False, synchronous=False), None),
        (Edge(source="web", target="base", hard=False, on_loss="recompute"), State.WEAKENED),
    ],
)
def test_an_edge_says_what_becomes_of_its_source(edge: Edge, state: State | None) -> None:
    assert lost(graph(WEB, service("base"), edges=(edge,)), "base").get("web") == state


SOFT = Edge(source="mid", target="base", hard=False)

MODEL = Component(name="model", kind="model", classes=("live",))


def test_one_of_several_alternatives_is_enough() -> None:
    edges = tuple(Edge(source="model", target=name, any_of="endpoints") for name in ("one", "two"))
    found = graph(MODEL, service("one"), service("two"), edges=edges)
    assert lost(found, "one")["model"] == State.WEAKENED


@pytest.mark.parametrize("hard", [True, False])
def test_a_worse_answer_makes_worse_answers_also_for_who_could_do_without_it(hard: bool) -> None:
    needs = Edge(source="web", target="mid", hard=hard)
    assert lost(graph(WEB, service("mid"), service("base"), edges=(needs, SOFT)), "base")["web"] == State.DEGRADED


def test_a_lesser_alternative_degrades() -> None:
    edges = (
        Edge(source="model", target="one", any_of="endpoints"),
        Edge(source="model", target="two", any_of="endpoints", degrades=True),
    )
    found = graph(MODEL, service("one"), service("two"), edges=edges)
    assert lost(found, "one")["model"] == State.DEGRADED
    assert lost(found, "two")["model"] == State.WEAKENED


def test_alternatives_that_stand_on_the_same_thing_go_down_with_it() -> None:
    edges = (
        *(Edge(source="model", target=name, any_of="endpoints") for name in ("one", "two")),
        *(Edge(source=name, target="provider") for name in ("one", "two")),
    )
    found = graph(MODEL, service("one"), service("two"), service("provider"), edges=edges)
    assert lost(found, "provider")["model"] == State.DOWN


def test_a_circle_ends() -> None:
    edges = (Edge(source="web", target="core"), Edge(source="core", target="web"))
    found = graph(WEB, service("core"), edges=edges)
    assert lost(found, "core") == {"core": State.DOWN, "web": State.DOWN}
    assert found.cycles == (("core", "web"),)


def test_a_zone_takes_what_stands_in_it_alone_and_weakens_the_rest() -> None:
    core = service("core", instances=3, zones=("a", "b", "c"))
    tight = service("tight", instances=3, needed=3, zones=("a", "b", "c"))
    edges = (Edge(source="web", target="core"),)
    impact = spread(
        graph(service("web", zones=("b",), classes=("live",)), core, tight, edges=edges), Disruption("zone", "a")
    )
    assert impact.touches["core"].state == State.WEAKENED
    assert impact.touches["tight"].state == State.DEGRADED
    assert "web" not in impact.touches


def test_just_enough_instances_are_enough() -> None:
    core = service("core", instances=3, needed=2, zones=("a", "b", "c"), classes=("live",))
    assert spread(graph(core), Disruption("zone", "a")).touches["core"].state == State.WEAKENED


def test_a_standby_in_another_zone_interrupts_for_its_takeover() -> None:
    copies = Copies("sync", detect_s=Figure(5.0), takeover_s=Figure(30.0))
    sql = service("sql", kind="sql", instances=2, zones=("a", "b"), across_zones=copies, classes=("live",))
    touch = spread(graph(sql), Disruption("zone", "a")).touches["sql"]
    assert (touch.state, touch.until_s) == (State.INTERRUPTED, 35)


def test_the_region_alone_is_down_and_the_standby_takes_over() -> None:
    sites = (Site("here", ()), Site("there", (), standby=True))
    web = Component(name="web", kind="service", classes=("live",), sites=sites)
    found = graph(web, service("core", zones=("a",)), edges=())
    impact = spread(found, Disruption("region", "here"))
    assert impact.touches["web"].state == State.DOWN  # nothing says that it fails over by itself
    assert impact.touches["web"].until_s == 900
    assert impact.touches["core"].until_s == 12 * 3600


def test_single_points_are_what_whole_classes_stop_without() -> None:
    edges = (Edge(source="web", target="core"), Edge(source="web", target="extra", hard=False))
    facts = Facts(system(WEB, service("core"), service("extra"), edges=edges), 0.0)
    assert {point.component for point in single_points(facts.graph, facts.losses)} == {"web", "core"}


def test_what_shares_a_zone_a_region_or_a_provider_is_listed() -> None:
    found = shared_fates(graph(WEB, service("core"), service("far", zones=("b",), shares=("provider",))))
    assert found["zone a"] == ("web", "core")
    assert found["region here"] == ("web", "core", "far")
    assert "provider" not in found  # one alone shares nothing


def test_the_blast_radius_is_that_of_the_most_important_class() -> None:
    facts = Facts(system(WEB, service("batch", classes=("batch",))), 0.0)
    assert facts.radius("web") == 1.0
    assert facts.radius("batch") == pytest.approx(0.4)


def test_edges_to_nowhere_are_left_out() -> None:
    assert Graph(System(name="x", edges=(Edge(source="a", target="b"),))).needs == {}
