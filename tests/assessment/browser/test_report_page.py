"""The report in a real browser: quiet, accessible, no wider than a phone, printable, in light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from outlast.assessment.assess import assess
from outlast.assessment.describe import describe
from outlast.assessment.disruption import Disruption
from outlast.assessment.precaution import Evidence
from outlast.assessment.report import report
from outlast.blueprint.load import parse_placed
from tests.servers.chromium import Page

NOW = 1_800_000_000.0
BLUEPRINT = Path(__file__).parents[1] / "bad.yaml"
DRILLS = (
    Evidence(drill="worker-crash", at=NOW - 86400, passed=True, disruption="process", rto_s=0.4, rpo_s=0.0),
    Evidence(drill="zone-off", at=NOW - 50 * 86400, passed=True, disruption="zone", rto_s=9.0, rpo_s=0.0),
)


def written(directory: Path, share: int = 1) -> Path:
    """A report with everything in it: promises kept and missed, findings of all severities, patches, drills.

    Only every `share`-th of them.
    """
    text = BLUEPRINT.read_text(encoding="utf-8")
    blueprint, places = parse_placed(text.encode(), "bad.yaml")
    system = describe(blueprint, places, "bad.yaml", DRILLS)
    found = assess(system, NOW, [Disruption("region", system.regions[0].name)])
    found = msgspec.structs.replace(
        found, findings=found.findings[::share], promises=found.promises[::share], impacts=found.impacts[::share]
    )
    path = directory / "report.html"
    path.write_text(report(found, system, text), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it."""
    return written(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def short_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of each: axe looks at every element, several times."""
    return written(tmp_path_factory.mktemp("short"), 12)


UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true })"


async def test_it_opens_from_disk_without_a_complaint_and_asks_for_nothing_else(tab: Page, file: Path) -> None:
    await tab.open(file)
    assert tab.complaints == []
    assert tab.requests == [file.as_uri()]
    assert await tab.ask("document.scripts.length") == 0
    assert await tab.ask("getComputedStyle(document.querySelector('main')).maxWidth") == "1152px"


async def test_its_policy_lets_no_script_run_and_no_other_style_in(tab: Page, file: Path, tmp_path: Path) -> None:
    page = file.read_text(encoding="utf-8")
    opened = tmp_path / "opened.html"
    hostile = "<script>document.title = 'taken over'</script><style>body { display: none }</style>"
    opened.write_text(page.replace("<main>", f"<main>{hostile}"), encoding="utf-8")
    await tab.open(opened)
    assert await tab.ask("document.title") != "taken over"
    assert await tab.ask("getComputedStyle(document.body).display") == "block"
    assert any("Content Security Policy" in one for one in tab.complaints)


@pytest.mark.parametrize(
    ("dark", "rules"), [(False, "undefined"), (True, "{runOnly: ['color-contrast']}")], ids=["light", "dark"]
)
async def test_axe_finds_nothing_to_mend(tab: Page, short_file: Path, axe_source: str, dark: bool, rules: str) -> None:
    await tab.open(short_file, dark=dark)
    await tab.ask(UNFOLD)
    await tab.ask(axe_source + "; undefined")
    found = json.loads(await tab.ask(f"axe.run(document, {rules}).then(found => JSON.stringify(found.violations))"))
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
async def test_a_phone_need_not_scroll_sideways(tab: Page, file: Path, unfolded: bool) -> None:
    await tab.open(file, 360, 740)
    if unfolded:
        await tab.ask(UNFOLD)
    assert await tab.ask("document.documentElement.scrollWidth") <= 360
    outside = """[...document.querySelectorAll('main *')].filter(one =>
        !one.closest('.scroll') && one.getBoundingClientRect().right > 360.5).map(one => one.outerHTML.slice(0, 90))"""
    assert await tab.ask(outside) == []


async def test_what_is_wider_than_a_phone_scrolls_by_itself_and_by_keyboard(tab: Page, file: Path) -> None:
    await tab.open(file, 360, 740)
    await tab.ask(UNFOLD)
    wide = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
    assert await tab.ask(f"{wide}.length") > 0
    assert await tab.ask(f"{wide}.every(one => one.tabIndex === 0 && one.getAttribute('aria-label'))")


async def test_it_prints_with_everything_unfolded(tab: Page, short_file: Path) -> None:
    await tab.open(short_file)
    document = await tab.printed()
    assert document.startswith(b"%PDF-")
    await tab.tell("Emulation.setEmulatedMedia", media="print")
    folded = "[...document.querySelectorAll('details > *')].filter(one => !one.checkVisibility())"
    assert await tab.ask(f"{folded}.length") == 0
    assert await tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


async def test_it_follows_the_reader_into_the_dark(tab: Page, file: Path) -> None:
    shade = "getComputedStyle(document.body).backgroundColor"
    await tab.open(file)
    light = await tab.ask(shade)
    await tab.open(file, dark=True)
    assert (light, await tab.ask(shade)) == ("rgb(255, 255, 255)", "rgb(18, 22, 27)")


async def test_every_link_leads_somewhere(tab: Page, file: Path) -> None:
    await tab.open(file)
    lost = "[...document.links].filter(one => !document.getElementById(one.hash.slice(1))).length"
    assert await tab.ask(lost) == 0
    assert await tab.ask("document.links.length") > 3
