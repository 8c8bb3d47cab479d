"""`outlast plan`, `cost` and `failures`, and every command of the design on every worked blueprint."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said

EXAMPLES = Path(__file__).parents[2] / "examples"
BUDGET, WARM, ACTIVE, INTAKE = WORKED = (
    EXAMPLES / "blueprints" / "one_region_budget.yaml",
    EXAMPLES / "blueprints" / "two_regions_warm_standby.yaml",
    EXAMPLES / "blueprints" / "three_regions_active_active.yaml",
    EXAMPLES / "document_intake" / "aws.yaml",
)
worked = pytest.mark.parametrize("file", WORKED, ids=lambda file: f"{file.parent.name}-{file.stem}")
Cli = Callable[..., Said]


@worked
def test_a_worked_blueprint_has_no_high_finding_and_keeps_every_promise_by_design(cli: Cli, file: Path) -> None:
    said = cli("assess", "-f", file, "--json")
    assert (said.code, said.err) == (0, "")
    assert not {one["severity"] for one in said.document["findings"]} & {"high", "critical"}
    assert {one["status"] for one in said.document["promises"]} == {"met by design"}


@worked
def test_a_worked_blueprint_is_drawn(cli: Cli, file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "graph.svg"
    assert cli("graph", "-f", file, "--output", picture).code == 0
    assert picture.read_text().startswith(("<svg", "<?xml"))


@worked
def test_a_worked_blueprint_is_priced_within_its_budget(cli: Cli, file: Path) -> None:
    said = cli("cost", "-f", file, "--json")
    assert (said.code, said.err) == (0, "")
    found = said.document
    assert 0 < found["infrastructure_usd"] <= found["budget_infrastructure_usd"]
    assert 0 < found["tokens_usd"] <= found["budget_tokens_usd"]
    assert {one["why"] for one in found["unpriced"]} <= {"somebody else's: ask for their bill"}


@worked
def test_a_worked_blueprint_is_planned_and_the_plan_costs_no_more(cli: Cli, file: Path) -> None:
    said = cli("plan", "-f", file, "--json")
    assert (said.code, said.err) == (0, "")
    assert said.document["missed"] == []
    assert said.document["usd"] <= said.document["declared_usd"]
    assert [one for one in said.document["decisions"] if one["unmet"]] == []


@worked
def test_a_worked_blueprint_has_a_table_of_failures_in_each_format(cli: Cli, file: Path) -> None:
    rows = cli("failures", "-f", file, "--json").document
    table = list(csv.reader(io.StringIO(cli("failures", "-f", file, "--format", "csv").out)))
    markdown = cli("failures", "-f", file, "--format", "markdown").out.splitlines()
    assert len(rows) == len(table) - 1 == len(markdown) - 2
    assert [row["subject"] for row in rows] == [line[0] for line in table[1:]]


def test_cost_is_readable_and_shows_each_line_when_asked(cli: Cli) -> None:
    said = cli("cost", "-f", WARM)
    assert said.out.startswith("support-desk: ")
    assert "of a budget of 9,000.00 USD" in said.out
    assert "warm_standby (declared)" in said.out
    assert "live 50s, 5s (met)" in said.out
    assert "Line by line" not in said.out
    assert "4 x 0.5 vCPU x 730 h = 1,460 vCPU-hour x 0.04656 USD, unchecked" in cli("cost", "-f", WARM, "--lines").out
    assert "\x1b" not in said.out


def test_cost_says_what_is_beyond_the_budget(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "outlast.yaml"
    file.write_text(WARM.read_text().replace("tokens: 55000USD", "tokens: 100USD"))
    assert "of a budget of 100.00 USD: " in cli("cost", "-f", file).out


def test_a_region_that_is_none_is_refused(cli: Cli) -> None:
    said = cli("cost", "-f", WARM, "--region", "frankfurt")
    assert said.code == 2
    assert "--region is 'frankfurt': expected a region of AWS, such as eu-central-1" in said.err


def test_a_system_on_this_machine_costs_nothing_and_says_so(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "outlast.yaml"
    file.write_text("agents: {a: {}}\n")
    said = cli("cost", "-f", file)
    assert said.code == 0
    assert "Nothing in it has a price" in said.out
    assert cli("plan", "-f", file).code == 0


def test_plan_shows_why_the_arithmetic_and_what_would_change(cli: Cli) -> None:
    out = cli("plan", "-f", WARM).out
    assert "regions and strategy of a lost region: warm standby, all of it running, automatic" in out
    assert (
        "because       live: rto 1m when a region is lost; 'warm standby, all of it running, a person decides'" in out
    )
    assert "detection: 3 probes of 10s: 30s" in out
    assert "'pilot light, automatic' would do if the rto of live were 2.67m or more when a region is lost" in out


def test_a_promise_that_no_design_keeps_fails_the_plan(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "outlast.yaml"
    file.write_text(WARM.read_text().replace("region:     {rto: 60s, rpo: 5s}", "region:     {rto: 1s, rpo: 5s}"))
    said = cli("plan", "-f", file)
    assert said.code == 1
    assert "cannot be met live: rto 1s when a region is lost: 50s at best" in said.out


def test_two_plans_are_compared(cli: Cli, tmp_path: Path) -> None:
    cheaper = tmp_path / "cheaper.yaml"
    cheaper.write_text(WARM.read_text().replace("region:     {rto: 60s, rpo: 5s}", "region:     {rto: 4h, rpo: 24h}"))
    said = cli("plan", "-f", WARM, "--diff", cheaper)
    assert said.code == 0
    assert "regions and strategy of a lost region" in said.out
    assert "second  pilot light" in said.out
    found = cli("plan", "-f", WARM, "--diff", cheaper, "--json").document
    assert found["usd_after"] < found["usd_before"]
    assert "The two plans decide the same." in cli("plan", "-f", WARM, "--diff", WARM).out


def test_a_cell_that_a_spreadsheet_would_calculate_is_text(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "outlast.yaml"
    file.write_text("agents: {a: {needs: {s: {on_loss: keep_going}}}}\nstores: {s: {kind: sql}}\n")
    for line in csv.reader(io.StringIO(cli("failures", "-f", file, "--format", "csv").out)):
        assert not [cell for cell in line if cell[:1] in "=+-@" and cell]


@pytest.mark.parametrize("command", ["plan", "cost", "failures"])
def test_a_file_that_is_not_there_is_a_usage_error(cli: Cli, command: str, tmp_path: Path) -> None:
    said = cli(command, "-f", tmp_path / "none.yaml")
    assert said.code == 2
    assert "none.yaml" in said.err


@pytest.mark.parametrize("command", ["plan", "cost", "failures"])
def test_help_teaches_by_example(cli: Cli, command: str) -> None:
    assert "For example:" in cli(command, "--help").out


@pytest.mark.parametrize("column", range(4))
def test_the_figures_in_the_document_are_those_of_today(cli: Cli, column: int) -> None:
    document = (EXAMPLES.parent / "docs" / "planning.md").read_text()
    table = {
        cells[1].strip(): cells[2 + column].strip().replace(",", "")
        for cells in (line.split("|") for line in document.splitlines() if line.startswith("| "))
        if len(cells) == 7
    }
    found = cli("cost", "-f", WORKED[column], "--json").document
    promises = {one["purpose"]: one["usd"] for one in found["by_promise"]}
    figures = {
        "infrastructure": found["infrastructure_usd"],
        "model tokens": found["tokens_usd"],
        "of it to survive a zone": promises["zone"],
        "of it to survive the region": promises["region"],
        "of it to survive corrupted data": promises["corruption"],
        "of it to survive the model's absence": promises.get("dependency", 0.0),
        "the plan's own design": cli("plan", "-f", WORKED[column], "--json").document["usd"],
        "rows of failure modes": len(cli("failures", "-f", WORKED[column], "--json").document),
    }
    assert {name: f"{value:.0f}" for name, value in figures.items()} == {name: table[name] for name in figures}


def test_the_document_intake_as_it_runs_here_is_described_assessed_planned_and_drawn(cli: Cli, tmp_path: Path) -> None:
    here = EXAMPLES / "document_intake" / "outlast.yaml"
    drawn = cli("graph", "-f", here, "--json").document
    assert {one["name"] for one in drawn["components"]} == {
        "intake", "journal", "documents", "preprocessing", "extractions", "register", "reader", "reader.first",
        "reader.spare",
    }  # fmt: skip
    said = cli("assess", "-f", here, "--json", "--fail-on", "never").document
    assert {one["status"] for one in said["promises"]} == {"met by design"}
    assert cli("plan", "-f", here).code == 0
    assert "extractions" in cli("failures", "-f", here).out
