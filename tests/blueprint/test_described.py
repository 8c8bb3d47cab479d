"""What `outlast up` says that it does not start."""

from __future__ import annotations

from pathlib import Path

from outlast.blueprint.described import only_described
from outlast.blueprint.load import parse


def test_all_that_runs_today_is_not_named() -> None:
    assert only_described(parse(b"agents: {a: {workers: {min: 3}}}\nexternal: {pay: {}}\nregions: {home: {}}")) == []


def test_what_only_the_description_has_is_named_with_its_kind() -> None:
    described = only_described(parse(Path(__file__).with_name("whole.yaml").read_bytes()))
    for part in (
        "regions.standby",
        "agents.support.cells (one here)",
        "stores.orders (sql)",
        "queues.documents_in (without an address)",
        "training.classifier",
        "backup.journal",
        "alarms.lagging",
        "drills",
        "run_on.local.models (2 x smollm2: see `outlast model serve`)",
    ):
        assert part in described
    assert not [part for part in described if part.startswith(("stores.journal", "external", "models"))]
