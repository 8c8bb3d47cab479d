"""A new project."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from outlast.blueprint.load import load
from tests.cli.conftest import Said


def test_it_writes_an_app_and_its_test(cli: Callable[..., Said], tmp_path: Path) -> None:
    said = cli("init", tmp_path / "new" / "desk")
    assert said.code == 0
    assert said.out == ""
    assert "outlast run support" in said.err
    assert sorted(path.name for path in (tmp_path / "new" / "desk").iterdir()) == ["app.py", "test_app.py"]
    for path in (tmp_path / "new" / "desk").iterdir():
        ast.parse(path.read_text())


def test_the_small_yaml_is_optional_and_accepted(cli: Callable[..., Said], tmp_path: Path) -> None:
    said = cli("init", tmp_path, "--yaml", "--json")
    assert said.document == {"directory": str(tmp_path), "written": ["app.py", "test_app.py", "outlast.yaml"]}
    assert load(tmp_path).agents["support"].deadline == 120


@pytest.mark.parametrize("taken", ["app.py", "test_app.py", "outlast.yaml"])
def test_nothing_is_overwritten_and_then_nothing_is_written(
    taken: str, cli: Callable[..., Said], tmp_path: Path
) -> None:
    (tmp_path / taken).write_text("mine")
    said = cli("init", tmp_path, "--yaml")
    assert said.code == 4
    assert taken in said.err
    assert "nothing was written" in said.err
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_written_through(cli: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "app.py").symlink_to(tmp_path / "elsewhere.py")
    assert cli("init", tmp_path).code == 4
    assert not (tmp_path / "elsewhere.py").exists()


def test_a_file_in_the_directorys_place_is_an_error(cli: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "desk").write_text("")
    said = cli("init", tmp_path / "desk")
    assert said.code == 2
    assert "is a file" in said.err


def test_a_directory_that_cannot_be_written_is_an_error(cli: Callable[..., Said]) -> None:
    said = cli("init", "/proc/desk")
    assert said.code == 5
    assert said.err.count("\n") == 1
