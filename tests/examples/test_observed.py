"""The support desk's declared graph against the one that its runs have shown, and against a need that is planted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.drill.stage import Stage, Writer, prepare

pytestmark = pytest.mark.crash
TICKET = {"id": "T-1", "customer": "tim.oneill@example.com", "text": "Please refund order 1043, it is too small."}
OUTLAST = [sys.executable, "-m", "outlast"]


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    """A scripted model as a process."""
    command = [*OUTLAST, "model", "serve", "--scripted", "--json", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield Writer(json.loads(server.stdout.readline())["url"], "scripted")
    server.kill()
    server.wait()
    server.stdout.close()


def answered(stage: Stage) -> None:
    """One ticket, in a worker of its own."""
    command = [*OUTLAST, "run", "support", "--input-json", json.dumps({"ticket": TICKET}), "--home", str(stage.project)]
    environment = {**os.environ, "SUPPORT_DESK_LEDGER": str(stage.ledger)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def said(*arguments: str) -> tuple[int, Any, str]:
    done = subprocess.run([*OUTLAST, *arguments], capture_output=True, text=True, timeout=100)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_the_declared_graph_is_the_one_that_runs_show_and_a_planted_need_is_found(
    writer: Writer, tmp_path: Path
) -> None:
    stage = prepare(tmp_path / "home", writer)
    home = str(stage.project)
    answered(stage)
    code, shown, complaint = said("graph", "--observed", "--json", "--home", home)
    assert (code, shown["equal"]) == (0, True), complaint
    standings = {f"{one['source']} -> {one['target']}": one["standing"] for one in shown["edges"]}
    assert standings == dict.fromkeys(
        ("support -> journal", "support -> ledger", "support -> writer", "writer -> writer.demo"), "seen"
    )
    _, assessment, _ = said("assess", "--json", "--fail-on", "never", "--home", home)
    assert not [one for one in assessment["findings"] if one["rule"] == "OL-MAP-001"]

    text = (stage.project / "app.py").read_text()
    planted = text.replace(
        "    label = await classify(ticket.text)\n", "    await gossip()\n    label = await classify(ticket.text)\n"
    )
    assert planted != text
    planted += '\n\n@app.tool(effect="pure")\ndef gossip(ctx: outlast.Context[Desk]) -> None:\n    ctx.uses("crm")\n'
    (stage.project / "app.py").write_text(planted)
    answered(stage)
    code, shown, _ = said("graph", "--observed", "--json", "--home", home)
    assert code == 1
    undeclared = [one for one in shown["edges"] if one["standing"] == "undeclared"]
    assert [(one["source"], one["target"], one["via"]) for one in undeclared] == [("support", "crm", ["gossip"])]
    code, assessment, _ = said("assess", "--json", "--home", home)
    assert code == 1
    assert [one["subject"] for one in assessment["findings"] if one["rule"] == "OL-MAP-001"] == ["support -> crm"]


def test_a_need_that_no_run_had_is_told(writer: Writer, tmp_path: Path) -> None:
    stage = prepare(tmp_path / "home", writer)
    home = str(stage.project)
    code, shown, complaint = said("graph", "--observed", "--json", "--home", home)
    assert code != 0
    assert shown is None
    assert complaint  # nothing has run
    blueprint = json.loads((stage.project / "outlast.yaml").read_text())
    blueprint["agents"]["support"]["needs"]["search"] = "soft"
    blueprint["stores"] = {"search": {"kind": "search"}}
    (stage.project / "outlast.yaml").write_text(json.dumps(blueprint))
    answered(stage)
    code, shown, _ = said("graph", "--observed", "--json", "--home", home)
    assert code == 1
    assert [one["target"] for one in shown["edges"] if one["standing"] == "never seen"] == ["search"]


def test_an_observation_that_is_none_is_named_and_does_not_count(writer: Writer, tmp_path: Path) -> None:
    stage = prepare(tmp_path / "home", writer)
    (stage.project / ".outlast").mkdir()
    (stage.project / ".outlast" / "observed.json").write_text("{half of")
    code, assessment, complaint = said("assess", "--json", "--fail-on", "never", "--home", str(stage.project))
    assert code == 0
    assert "observed.json" in complaint
    assert not [one for one in assessment["findings"] if one["rule"] == "OL-MAP-001"]
