"""Which directory is the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outlast.cli.home import project
from outlast.kernel.error import ConfigurationError


@pytest.mark.parametrize("mark", ["outlast.yaml", "app.py"])
def test_the_nearest_parent_with_a_mark_is_it(mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / mark).write_text("")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert project(None) == tmp_path
    (tmp_path / "a" / "app.py").write_text("")
    assert project(None) == tmp_path / "a"


def test_what_is_given_needs_no_mark_but_must_be_a_directory(tmp_path: Path) -> None:
    assert project(tmp_path) == tmp_path
    with pytest.raises(ConfigurationError, match="is not a directory"):
        project(tmp_path / "nowhere")


def test_no_project_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="outlast init"):
        project(None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_code_of_another_user_is_not_picked_up_by_walking_upwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text("")
    os.chown(tmp_path / "app.py", 4321, -1)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        project(None)
    assert project(tmp_path) == tmp_path
