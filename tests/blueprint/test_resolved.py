"""A blueprint written back is the same blueprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlast.blueprint.load import parse
from outlast.blueprint.resolved import resolve, written, yaml_text
from outlast.blueprint.schema import Blueprint

WHOLE = Path(__file__).with_name("whole.yaml").read_bytes()
TEXTS = {
    "whole": WHOLE,
    "nothing": b"",
    "secrets": b"server: {listen: '0.0.0.0:80', token: env:T}\nstores: {journal: {encrypt: 'kms:alias/k'}}",
    "thirds": b"objectives: {l: {availability: 33.333%, over: 1.5h}}\nload: {l: {steady: 7/h, peak: 11/m}}",
    "names": b"agents: {'1': {}, 'no': {}, 'on': {}}\nservices: {'null': {kind: api, needs: {'1': {}}}}",
    "empty sections": b"agents: {a: {workers: {}, budget: {}}}\nstores: {s: {kind: sql, across_regions: eventual}}",
    "needs": b"external: {e: {}}\nagents: {a: {needs: {e: {retry: {}, cache: 1m}, journal: {timeout: 1s}}}}",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_written_is_read_as_the_same_blueprint(name: str, form: str) -> None:
    blueprint = parse(TEXTS[name])
    for meant, defaults in ((blueprint, False), (blueprint, True), (resolve(blueprint), True)):
        document = written(meant, defaults=defaults)
        text = yaml_text(document) if form == "yaml" else json.dumps(document)
        assert parse(text.encode()) == meant


def test_what_was_not_said_is_not_written_unless_it_is_asked_for() -> None:
    assert written(parse(b"workers: {min: 3}"), defaults=False) == {"outlast": 1, "workers": {"min": 3}}
    resolved = written(resolve(Blueprint()), defaults=True)
    assert resolved["workers"] == {"min": 2, "memory_max": "1GiB"}
    assert resolved["takeover_after"] == "1s"
    assert resolved["stores"]["journal"]["data"] == "critical"
    assert resolved["run_on"] == {"local": {"journal": "sqlite", "durability": "power"}}


def test_needs_are_written_as_short_as_a_person_would() -> None:
    document = written(parse(WHOLE), defaults=False)
    assert document["agents"]["intake"]["needs"]["writer"] == "hard"
    assert document["stores"]["journal"]["across_regions"] == "eventual"
    assert document["alarms"]["turns_failing"]["burn_rate"] == ["14x over 1h", "6x over 6h"]
    assert document["run_on"]["local"]["models"] == "2 x smollm2"
    assert document["deploy"]["first"] == "1 cell"


def shares(text: bytes) -> dict[str, float | None]:
    regions = resolve(parse(text)).regions
    assert regions is not None
    return {name: region.share for name, region in regions.all().items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"regions: {home: {}, standby: {}}", {"home": 1.0, "standby": 0.0}),
        (b"regions: {home: {}, standby: {share: 20%}}", {"home": 0.8, "standby": 0.2}),
        (b"regions: {strategy: active_active, home: {}, second: {}}", {"home": 0.5, "second": 0.5}),
        (
            b"regions: {strategy: active_active, home: {share: 50%}, b: {}, c: {journal_only: true}}",
            {"home": 0.5, "b": 0.5, "c": 0.0},
        ),
    ],
)
def test_regions_share_the_work_that_nobody_gave_away(text: bytes, expected: dict[str, Any]) -> None:
    assert shares(text) == pytest.approx(expected)


def test_what_depends_on_other_values_is_filled_in() -> None:
    text = b"""
workers: {memory_max: 2GiB}
agents: {a: {workers: {min: 3}}}
objectives: {live: {}}
load: {live: {steady: 2/s}}
"""
    resolved = resolve(parse(text))
    assert resolved.agents["a"].workers is not None
    assert resolved.agents["a"].workers.memory_max == 2 << 30
    assert resolved.agents["a"].work_class == "live"
    assert resolved.load["live"].peak == 2.0
    assert resolve(resolved) == resolved
