"""Which files `up --reload` watches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outlast.cli import source
from outlast.cli.source import snapshot


def test_python_files_and_the_yaml_are_watched_and_nothing_that_was_installed(tmp_path: Path) -> None:
    watched = ("app.py", "desk/tools.py", "outlast.yaml")
    other = (
        ".outlast/a.py",
        ".venv/b.py",
        "node_modules/c.py",
        "desk/__pycache__/d.py",
        "a.txt",
        "desk/outlast.yaml",
    )
    for name in (*watched, *other):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert set(snapshot(tmp_path)) == set(watched)


def test_a_touched_file_shows(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    before = snapshot(tmp_path)
    os.utime(tmp_path / "app.py", ns=(1, 1))
    assert snapshot(tmp_path) != before


def test_it_is_bounded_and_links_that_lead_nowhere_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "files_max", 3)
    (tmp_path / "a.py").symlink_to("nowhere")
    for name in "bcdefg":
        (tmp_path / f"{name}.py").write_text("")
    assert sorted(snapshot(tmp_path)) == ["b.py", "c.py", "d.py"]
