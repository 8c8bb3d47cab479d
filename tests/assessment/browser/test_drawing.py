"""The drawing in a real browser: with its fonts, not with our guess of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.assessment.component import Component
from outlast.assessment.disruption import Disruption
from outlast.assessment.draw import draw
from outlast.assessment.edge import Edge
from outlast.assessment.graph import Graph
from outlast.assessment.spread import spread
from outlast.assessment.system import System
from tests.assessment.drawing.systems import generated
from tests.servers.chromium import Page


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred components, what fails with one of them marked."""
    system = generated(100, 6)
    graph = Graph(system)
    hub = max(graph.needed_by, key=lambda name: len(graph.needed_by[name]))
    path = tmp_path_factory.mktemp("drawing") / "graph.svg"
    path.write_text(draw(system, spread(graph, Disruption("dependency", hub))), encoding="utf-8")
    return path


async def test_it_opens_by_itself_without_a_complaint(tab: Page, hundred: Path) -> None:
    await tab.open(hundred)
    assert tab.complaints == []
    assert tab.requests == [hundred.as_uri()]
    assert await tab.ask("document.querySelectorAll('.ol-card').length") == 100


async def test_every_text_stays_in_its_box_with_the_fonts_of_the_browser(tab: Page, hundred: Path) -> None:
    await tab.open(hundred)
    too_wide = """[...document.querySelectorAll('.ol-card')].flatMap(card => {
        const box = card.querySelector('.ol-box').getBBox();
        return [...card.querySelectorAll(':scope > text')].filter(text => {
            const at = text.getBBox();
            const [right, bottom] = [at.x + at.width - box.width, at.y + at.height - box.height];
            return at.x < box.x || right > box.x || at.y < box.y || bottom > box.y;
        }).map(text => text.textContent);
    })"""
    assert await tab.ask(too_wide) == []


async def test_no_two_texts_cover_each_other(tab: Page, hundred: Path) -> None:
    await tab.open(hundred)
    covered = """(() => {
        const all = [...document.querySelectorAll('text')].map(one => [one.getBoundingClientRect(), one.textContent]);
        const found = [];
        for (let i = 0; i < all.length; i++) for (let j = 0; j < i; j++) {
            const [a, b] = [all[i][0], all[j][0]];
            // a line's box is higher than its letters: two pixels of it are air
            if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
                found.push(all[i][1] + ' | ' + all[j][1]);
        }
        return found;
    })()"""
    assert await tab.ask(covered) == []


async def test_its_text_can_be_selected(tab: Page, hundred: Path) -> None:
    await tab.open(hundred)
    select = "getSelection().selectAllChildren(document.querySelector('.ol-title')), getSelection().toString()"
    assert await tab.ask(select) == "generated 100"


async def test_it_follows_the_reader_into_the_dark(tab: Page, hundred: Path) -> None:
    shade = "getComputedStyle(document.querySelector('.ol-paper')).fill"
    await tab.open(hundred)
    light = await tab.ask(shade)
    await tab.open(hundred, dark=True)
    assert (light, await tab.ask(shade)) == ("rgb(255, 255, 255)", "rgb(18, 22, 27)")


async def test_hostile_names_stay_names(tab: Page, tmp_path: Path) -> None:
    hostile = """"><script>document.title='taken'</script><!-- ]]> &x; \u202e\x00"""
    components = {
        hostile: Component(name=hostile, kind="sql", technology=hostile),
        "b": Component(name="b", kind="service"),
    }
    edges = (Edge(source="b", target=hostile, on_loss=hostile),)
    path = tmp_path / "hostile.svg"
    path.write_text(draw(System(name=hostile, components=components, edges=edges)), encoding="utf-8")
    await tab.open(path)
    assert tab.complaints == []
    assert await tab.ask("document.querySelectorAll('script').length") == 0
    assert "<script>" in await tab.ask("document.querySelector('title').textContent")
