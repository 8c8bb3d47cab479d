from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from outlast.drill.stage import Writer, example_directory, prepare
from outlast.kernel.error import ConfigurationError

WRITER = Writer("http://127.0.0.1:9/v1", "small")


def test_the_stage_is_a_copy_of_the_example_with_the_writer_in_its_blueprint(tmp_path: Path) -> None:
    stage = prepare(tmp_path / "a b" / "c", WRITER)
    names = {path.name for path in example_directory().iterdir()} - {"__pycache__", ".outlast", "ledger.sqlite"}
    assert {path.name for path in stage.project.iterdir()} == names
    blueprint = yaml.safe_load((stage.project / "outlast.yaml").read_text())
    assert blueprint["models"]["writer"]["endpoints"] == [{"name": "demo", "url": WRITER.url, "model": "small"}]
    assert blueprint["server"] == {"listen": "127.0.0.1:0"}
    agents = yaml.safe_load((example_directory() / "outlast.yaml").read_text())["agents"]
    agents["support"]["needs"]["writer"] = "hard"
    assert blueprint["agents"] == agents
    assert stage.crew == 3
    assert not stage.ledger.exists()
    assert stage.ledger.parent.is_dir()
    assert not stage.ledger.is_relative_to(stage.project)
    assert list(stage.token.parent.iterdir()) == []
    assert stage.environment()["SUPPORT_DESK_LEDGER"] == str(stage.ledger)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigurationError, match="not empty"):
        prepare(tmp_path, WRITER)
