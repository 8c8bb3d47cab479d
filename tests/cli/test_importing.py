"""``outlast import``, as a person or a script calls it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from outlast.cli.main import main

TEMPLATES = Path(__file__).parent.parent / "assessment" / "templates"
SHOP = str(TEMPLATES / "ecs_alb.yaml")


def test_a_template_becomes_a_file_that_blueprint_check_and_assess_accept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "outlast.yaml"
    assert main(["import", "cloudformation", f"{SHOP}@eu-central-1", "-o", str(out)]) == 0
    report = capsys.readouterr().err
    assert "7 components" in report
    assert "Stickers (AWS::Location::PlaceIndex)" in report
    assert f"outlast assess -f {out}" in report
    assert "name: ecs_alb" in out.read_text("utf-8")
    assert main(["blueprint", "check", "-f", str(out)]) == 0
    assert main(["assess", "-f", str(out), "--fail-on", "never"]) == 0
    assert main(["assess", "-f", str(out)]) == 1


def test_nothing_is_overwritten_unless_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "outlast.yaml"
    out.write_text("mine")
    assert main(["import", "cloudformation", SHOP, "-o", str(out)]) == 4
    assert out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main(["import", "cloudformation", SHOP, "-o", str(out), "--force"]) == 0
    assert "services:" in out.read_text("utf-8")


def test_without_an_output_the_draft_is_printed_and_the_report_goes_beside(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "terraform", str(TEMPLATES / "eks.tf.json"), "--name", "shop"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("# A draft")
    assert "\nname: shop\n" in printed.out
    assert "not read:" in printed.err


def test_json_names_every_resource(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "terraform", str(TEMPLATES / "eks.tf.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [left["resource"] for left in found["left"]] == ["helm_release.ingress", "datadog_monitor.errors"]
    assert found["blueprint"].startswith("# A draft")
    assert {"component", "resources", "assumed", "needs"} == set(found["components"][0])


def test_a_plan_comes_over_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raw = (TEMPLATES / "pipeline.tf.json").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert main(["import", "terraform", "-"]) == 0
    assert "standard input" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cloudformation", "gone.yaml"], "gone.yaml cannot be read: no such file or directory"),
        (["terraform", SHOP], "is not JSON"),
        (["cloudformation", str(TEMPLATES / "eks.tf.json")], "outlast import terraform"),
        (["cloudformation", *["x"] * 65], "files_max is 64"),
    ],
)
def test_what_cannot_be_imported_is_a_usage_error(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_a_region_that_was_changed_by_hand_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = "Resources: {Jobs: {Type: 'AWS::SQS::Queue', Properties: {VisibilityTimeout: %d}}}"
    home, standby = tmp_path / "home.yaml", tmp_path / "standby.yaml"
    home.write_text(queue % 60)
    standby.write_text(queue % 60)
    compared = ["import", "cloudformation", f"{home}@eu-central-1", "--same-as", f"{standby}@eu-west-1"]
    assert main(compared) == 0
    assert "0 differences" in capsys.readouterr().err
    standby.write_text(queue % 30)
    assert main(compared) == 1
    assert capsys.readouterr().out == (
        f"queues.jobs.visibility: 1m in {home}@eu-central-1, 30s in {standby}@eu-west-1\n"
    )
    assert main([*compared, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["differences"] == [{"where": "queues.jobs.visibility", "here": "1m", "there": "30s"}]
    assert main([*compared, "-o", str(tmp_path / "out")]) == 2
    assert "do not go together" in capsys.readouterr().err
