"""`outlast blueprint`: no app, no network, no cloud."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from outlast.blueprint.load import load_file
from outlast.blueprint.reference import json_schema, page
from tests.cli.conftest import Said

WHOLE = Path(__file__).resolve().parent.parent / "blueprint" / "whole.yaml"


def test_a_file_is_checked_and_its_components_are_counted(cli: Callable[..., Said]) -> None:
    said = cli("blueprint", "check", "-f", WHOLE)
    assert (said.code, said.err) == (0, "")
    assert "accepted: support-desk, 11 components (2 in agents, 1 in models, 5 in stores" in said.out
    assert "not started by `outlast up`, only described: regions.standby" in said.out


def test_as_json_every_component_has_its_place(cli: Callable[..., Said]) -> None:
    found = cli("blueprint", "check", "-f", WHOLE, "--json").document
    by_path = {one["component"]: one for one in found["components"]}
    line = next(n for n, text in enumerate(WHOLE.read_text().splitlines(), 1) if text.startswith("  orders:"))
    assert by_path["stores.orders"] == {"component": "stores.orders", "line": line, "column": 3}
    assert "training.classifier" in found["not_started_by_up"]


def test_the_projects_own_file_is_taken_when_none_is_named(cli: Callable[..., Said], tmp_path: Path) -> None:
    shutil.copy(WHOLE, tmp_path / "outlast.yaml")
    assert cli("blueprint", "check", "--home", tmp_path).code == 0


def test_a_slip_is_refused_with_file_line_column_and_the_nearest_word(cli: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("outlast: 1\nagents:\n  a:\n    need: {journal: hard}\n")
    said = cli("blueprint", "check", "-f", tmp_path / "bad.yaml")
    assert said.code == 2
    assert f"{tmp_path}/bad.yaml:4:5: unknown key 'need' in agents.a: did you mean 'needs'?" in said.err


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_file_that_is_not_there_is_an_error(command: str, cli: Callable[..., Said], tmp_path: Path) -> None:
    said = cli("blueprint", command, "-f", tmp_path / "none.yaml")
    assert said.code == 2
    assert "none.yaml is not a file" in said.err
    assert cli("blueprint", command, "--home", tmp_path).code == 2


def test_what_is_shown_is_a_blueprint_again(cli: Callable[..., Said], tmp_path: Path) -> None:
    short, long = cli("blueprint", "show", "-f", WHOLE), cli("blueprint", "show", "-f", WHOLE, "--resolved")
    for name, said in (("short", short), ("long", long)):
        (tmp_path / f"{name}.yaml").write_text(said.out)
    assert load_file(tmp_path / "short.yaml")[0] == load_file(WHOLE)[0]
    assert "takeover_after: 1s" in long.out
    assert "takeover_after" not in short.out
    again = cli("blueprint", "show", "-f", tmp_path / "long.yaml", "--resolved")
    assert again.out == long.out
    as_json = cli("blueprint", "show", "-f", WHOLE, "--resolved", "--json")
    assert as_json.document == yaml.safe_load(long.out)


def test_a_secret_is_shown_by_where_it_is(
    cli: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    (tmp_path / "outlast.yaml").write_text("server: {token: env:TOKEN}")
    out = cli("blueprint", "show", "--resolved", "--home", tmp_path).out
    assert "token: env:TOKEN" in out
    assert "hunter2" not in out


def test_schema_and_reference_are_printed_as_they_are(cli: Callable[..., Said]) -> None:
    assert json.loads(cli("blueprint", "schema").out) == json_schema()
    assert cli("blueprint", "reference").out == page()
