"""Where a demo plays: a directory with a copy of the example, and beside it the world it acts on.

::

    HOME/desk/           the project: app.py, outlast.yaml, .outlast/
    HOME/world/          the ledger, which the system writes through its tool only
    HOME/fault/          the token that arms a crash point
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import yaml

from outlast.kernel.error import ConfigurationError

example = "support_desk"
crash_place = "effect.after:refund"


class Stage(msgspec.Struct, frozen=True):
    """The directories of one demo."""

    home: Path
    crew: int
    """Workers that run when all is well: those of the blueprint and one spare."""

    @property
    def project(self) -> Path:
        return self.home / "desk"

    @property
    def ledger(self) -> Path:
        return self.home / "world" / "ledger.sqlite"

    @property
    def token(self) -> Path:
        return self.home / "fault" / "token"

    @property
    def tickets(self) -> Path:
        return self.project / "tickets.jsonl"

    def environment(self) -> dict[str, str]:
        """What ``outlast up`` is started with: where the ledger is, and a crash point that needs the token."""
        return {
            "SUPPORT_DESK_LEDGER": str(self.ledger),
            "OUTLAST_CRASH": crash_place,
            "OUTLAST_CRASH_TOKEN": str(self.token),
        }


class Writer(msgspec.Struct, frozen=True):
    """The model that writes replies: an OpenAI-compatible server."""

    url: str
    model: str


def prepare(home: Path, writer: Writer, source: Path | None = None) -> Stage:
    """Copy the example (or `source`) into `home` and point its blueprint at `writer` and at any free port.

    Raises ConfigurationError if `home` holds anything already, or the example is not installed.
    """
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise ConfigurationError(f"directory {home} is not empty: the demo wants an empty one, or none")
    source = source or example_directory()
    blueprint: dict[str, Any] = yaml.safe_load((source / "outlast.yaml").read_text())
    stage = Stage(home.resolve(), crew=int(blueprint["workers"]["min"]) + 1)
    shutil.copytree(source, stage.project, ignore=shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*"))
    stage.ledger.parent.mkdir()
    stage.token.parent.mkdir()
    blueprint["server"] = {"listen": "127.0.0.1:0"}
    blueprint["agents"]["support"]["needs"]["writer"] = "hard"
    blueprint["models"] = {"writer": {"endpoints": [{"name": "demo", "url": writer.url, "model": writer.model}]}}
    (stage.project / "outlast.yaml").write_bytes(msgspec.json.encode(blueprint))  # JSON is YAML
    return stage


def example_directory(example: str = example) -> Path:
    """The example's files: beside this module when installed, under ``examples/`` in a checkout."""
    here = Path(__file__).resolve()
    places = (here.parent / example, here.parents[3] / "examples" / example)
    for place in places:
        if (place / "app.py").is_file():
            return place
    raise ConfigurationError(f"the example {example} is not installed: looked in {' and '.join(map(str, places))}")
