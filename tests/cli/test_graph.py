"""``outlast graph`` and ``outlast assess --html``, on a blueprint without an app."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from outlast.cli.main import main

TEXT = """outlast: 1
name: shop
objectives:
  live: {availability: 99.9%}
regions:
  home: {aws: eu-central-1, zones: 3}
agents:
  front: {class: live, needs: {orders: hard, answers: soft}}
stores:
  orders: {kind: sql, data: critical, aws: rds}
  answers: {kind: cache, data: disposable, aws: valkey}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_the_drawing_is_written_to_a_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "graph.svg"
    assert main(["graph", "-f", str(file), "-o", str(out)]) == 0
    assert ET.parse(out).getroot().tag.endswith("svg")
    assert "eu-central-1" in out.read_text(encoding="utf-8")
    assert capsys.readouterr().err == f"written: {out}\n"


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [([], "<svg "), (["--format", "dot"], "digraph "), (["--format", "mermaid"], "flowchart ")],
    ids=["svg", "dot", "mermaid"],
)
def test_it_goes_to_standard_output_in_the_format_that_is_asked_for(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], beginning: str
) -> None:
    assert main(["graph", "-f", str(file), *arguments]) == 0
    assert capsys.readouterr().out.startswith(beginning)


def test_the_ending_of_the_file_chooses_the_format(file: Path, tmp_path: Path) -> None:
    assert main(["graph", "-f", str(file), "-o", str(tmp_path / "graph.dot")]) == 0
    assert (tmp_path / "graph.dot").read_text(encoding="utf-8").startswith("digraph ")


@pytest.mark.parametrize("lost", ["orders", "zone eu-central-1a", "region home"])
def test_a_blast_marks_a_component_a_zone_or_a_region(
    file: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    assert main(["graph", "-f", str(file), "--blast", lost]) == 0
    assert "is lost" in capsys.readouterr().out


def test_json_says_components_with_their_frames_edges_and_what_fails(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", "-f", str(file), "--blast", "orders", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in said["components"]} >= {"front", "orders", "answers"}
    assert said["components"][0]["frames"][0] == "eu-central-1"
    assert {"front", "orders"} <= {edge[end] for edge in said["edges"] for end in ("source", "target")}
    assert said["blast"]["touches"]["front"]["via"] == "orders"
    assert said["blast"]["touches"]["front"]["state"] == "down"


def test_an_unknown_component_gets_the_nearest_name(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "-f", str(file), "--blast", "order"]) == 2
    assert "orders" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--format", "png"], ["--json", "-o", "x.svg"], ["--json", "--format", "svg"]])
def test_what_does_not_go_together_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["graph", "-f", str(file), *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: --")


def test_assess_writes_a_report(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert main(["assess", "-f", str(file), "--html", str(out), "--fail-on", "never"]) == 0
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Assessment of shop" in page
    assert f"written: {out}" in capsys.readouterr().err
