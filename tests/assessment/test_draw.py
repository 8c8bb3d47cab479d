"""The drawing as SVG: what it shows, and that it needs nothing else."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from outlast.assessment.component import Component, Site
from outlast.assessment.disruption import Disruption
from outlast.assessment.draw import draw
from outlast.assessment.drawing.dot import dot
from outlast.assessment.drawing.mermaid import mermaid
from outlast.assessment.edge import Edge
from outlast.assessment.figure import Figure
from outlast.assessment.graph import Graph
from outlast.assessment.impact import Impact
from outlast.assessment.spread import spread
from outlast.assessment.system import System
from tests.assessment.drawing.systems import generated

SVG = "{http://www.w3.org/2000/svg}"
HOME = (Site("eu-central-1", ("eu-central-1a", "eu-central-1b"), 2, 1),)


def shop() -> System:
    """``front`` cannot do without ``orders``, can without ``cache``, and hands on to ``mail`` without waiting."""
    names = {"front": "agent", "orders": "sql", "cache": "cache", "mail": "queue", "report": "service"}
    return System(
        name="shop",
        components={
            name: Component(name=name, kind=kind, sites=HOME, classes=("live",) if name == "front" else ())  # pyright: ignore[reportArgumentType]
            for name, kind in names.items()
        },
        edges=(
            Edge(source="front", target="orders", timeout_s=Figure(4.0)),
            Edge(source="front", target="cache", hard=False),
            Edge(source="front", target="mail", synchronous=False),
            Edge(source="report", target="orders", hard=False),
        ),
    )


def lost(system: System, name: str) -> Impact:
    return spread(Graph(system), Disruption("dependency", name))


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def classes_of_lines(text: str) -> dict[str, set[str]]:
    """The classes of each line, by its title's beginning."""
    lines = parsed(text).iter(f"{SVG}path")
    titled = {(line.findtext(f"{SVG}title") or "").partition(":")[0]: line.get("class", "").split() for line in lines}
    return {name: set(classes) for name, classes in titled.items() if name}


def classes_of_boxes(text: str) -> dict[str, str]:
    cards = [group for group in parsed(text).iter(f"{SVG}g") if "ol-card" in group.get("class", "")]
    return {(card.findtext(f"{SVG}title") or "").partition(":")[0]: card.get("class", "") for card in cards}


def test_it_needs_no_other_resource_and_no_script() -> None:
    text = draw(generated(30))
    assert not re.search(r"<script|<image|<use|<foreignObject|@import|@font-face|javascript:|\son\w+=", text)
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#ol-plain", "#ol-later", "#ol-start"}
    assert set(re.findall(r'https?://[^"\s<]+', text)) == {"http://www.w3.org/2000/svg"}


def test_hard_lines_are_solid_soft_ones_dashed_and_asynchronous_ones_ringed() -> None:
    found = classes_of_lines(draw(shop()))
    assert found["front needs orders"] == {"ol-line"}
    assert found["front needs cache"] == {"ol-line", "ol-soft"}
    assert found["front needs mail"] == {"ol-line", "ol-later"}
    mail = next(line for line in parsed(draw(shop())).iter(f"{SVG}path") if "ol-later" in line.get("class", ""))
    assert mail.get("marker-start") == "url(#ol-start)"


def test_a_blast_marks_what_fails_in_its_state_and_leaves_the_rest_calm() -> None:
    system = shop()
    found = classes_of_boxes(draw(system, lost(system, "orders")))
    assert found == {
        "front": "ol-card ol-down",
        "orders": "ol-card ol-down",
        "cache": "ol-card ol-calm",
        "mail": "ol-card ol-calm",
        "report": "ol-card ol-degraded",
    }


def test_a_blast_marks_the_lines_that_it_takes_and_no_others() -> None:
    system = shop()
    found = classes_of_lines(draw(system, lost(system, "orders")))
    assert "ol-down" in found["front needs orders"]
    assert "ol-degraded" in found["report needs orders"]
    assert "ol-calm" in found["front needs cache"] & found["front needs mail"]


def test_a_blast_says_in_which_order_and_after_how_long() -> None:
    system = shop()
    text = draw(system, lost(system, "orders"))
    root = parsed(text)
    pills = [one.text for one in root.iter(f"{SVG}text") if one.get("class") == "ol-pill-text"]
    assert sorted(filter(None, pills)) == ["1", "1", "lost"]
    assert "down after 4s" in text
    assert "1. front: down after 4s" in (root.findtext(f"{SVG}desc") or "")
    assert "when orders is lost" in text


def test_it_has_a_title_and_a_description_for_those_who_do_not_see_it() -> None:
    root = parsed(draw(shop(), prefix="here"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "here-title here-desc"
    assert root.findtext(f"{SVG}title") == "Dependencies of shop"
    assert "orders (2)" in (root.findtext(f"{SVG}desc") or "")


def test_marks_stand_on_their_components_only() -> None:
    text = draw(shop(), marks={"orders": "critical"})
    assert [one.text for one in parsed(text).iter(f"{SVG}text") if one.get("class") == "ol-pill-text"] == ["critical"]


def test_what_has_nothing_to_spare_stands_out() -> None:
    alone = Component(name="a", kind="sql", sites=(Site("r", ("ra", "rb"), 1, 1),))
    spare = Component(name="b", kind="sql", sites=(Site("r", ("ra", "rb"), 2, 1),))
    body = draw(System(name="s", components={"a": alone, "b": spare})).split("</style>")[1]
    assert body.count("ol-small ol-weak") == 1


def test_a_page_that_has_the_style_gets_none() -> None:
    assert "<style>" not in draw(shop(), styled=False)


def test_systems_without_anything_and_with_cycles_are_drawn() -> None:
    parsed(draw(System(name="empty")))
    both = {name: Component(name=name, kind="service") for name in "ab"}
    edges = (Edge(source="a", target="b"), Edge(source="b", target="a"), Edge(source="a", target="a"))
    assert len(classes_of_lines(draw(System(name="s", components=both, edges=edges)))) == 3


def test_the_same_system_gives_the_same_bytes() -> None:
    assert draw(generated(40, 3)) == draw(generated(40, 3))


def test_dot_has_a_node_for_each_component_and_quotes_what_others_wrote() -> None:
    hostile = 'a"]; b [label="\n'
    system = System(name=hostile, components={hostile: Component(name=hostile, kind="sql")})
    text = dot(system)
    assert '"a\\"]; b [label=\\"\\n" [label=' in text
    assert dot(shop()).count(" -> ") == 4
    assert "style=dashed" in dot(shop())


def test_mermaid_numbers_its_nodes_so_that_no_name_can_break_it() -> None:
    system = shop()
    text = mermaid(system, lost(system, "orders"))
    assert "c0 --> c1" in text
    assert "c0 -.-> c2" in text
    assert "c0 --o c3" in text
    assert ":::down" in text
    hostile = '"]\nend <b>'
    made = mermaid(System(name="s", components={hostile: Component(name=hostile, kind="sql")}))
    assert '["&quot;] end &lt;b&gt;<br>sql<br>' in made
