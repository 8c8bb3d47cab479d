"""Frames: what goes down together stands together."""

from __future__ import annotations

from outlast.assessment.component import Component, Site
from outlast.assessment.drawing.lane import Heading, Lane, lanes
from outlast.assessment.edge import Edge
from outlast.assessment.system import System

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
HOME = Site("eu-central-1", ZONES, 3, 2)
AWAY = Site("af-south-1", ("af-south-1a",), 1, 1, standby=True)


def lane_of(*sites: Site, kind: str = "service", edges: tuple[Edge, ...] = (), **others: Component) -> Lane:
    component = Component(name="x", kind=kind, sites=sites)  # pyright: ignore[reportArgumentType]
    ordered, found = lanes(System(name="s", components={"x": component, **others}, edges=edges))
    return ordered[found["x"]]


def test_a_component_of_one_zone_stands_in_a_frame_that_says_so() -> None:
    assert lane_of(Site("eu-central-1", ZONES[:1])) == Lane(Heading("eu-central-1"), Heading("zone a alone"))


def test_only_zones_with_an_instance_count() -> None:
    assert lane_of(Site("eu-central-1", ZONES, 2, 1)).zones == Heading("zones a, b", 2)


def test_a_regional_service_stands_in_no_zone() -> None:
    assert lane_of(Site("eu-central-1")) == Lane(Heading("eu-central-1"), None)


def test_two_regions_are_two_sheets_the_one_that_serves_first() -> None:
    assert lane_of(AWAY, HOME) == Lane(Heading("eu-central-1, standby af-south-1", 2), Heading("3 + 1 zones", 3))


def test_what_runs_nowhere_of_ours_stands_outside() -> None:
    assert lane_of(kind="external") == Lane(None, None)


def test_a_model_stands_where_its_endpoints_are() -> None:
    endpoint = Component(name="e", kind="endpoint", sites=(HOME,))
    edges = (Edge(source="x", target="e"),)
    assert lane_of(kind="model", edges=edges, e=endpoint) == Lane(Heading("eu-central-1"), None)


def test_the_one_zone_of_this_machine_has_no_frame_of_its_own() -> None:
    assert lane_of(Site("local", ("local",))) == Lane(Heading("local"), None)


def test_frames_stand_from_what_is_outside_through_regional_services_to_single_zones() -> None:
    sites = {
        "one": Site("r", ("ra",)),
        "outside": None,
        "three": Site("r", ("ra", "rb", "rc"), 3),
        "regional": Site("r"),
    }
    components = {
        name: Component(name=name, kind="sql", sites=() if site is None else (site,)) for name, site in sites.items()
    }
    _, found = lanes(System(name="s", components=components))
    assert sorted(found, key=lambda name: found[name]) == ["outside", "regional", "three", "one"]
