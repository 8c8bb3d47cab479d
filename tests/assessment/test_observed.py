"""The declared graph against the observed one."""

from __future__ import annotations

import pytest

from outlast.assessment.assess import assess
from outlast.assessment.describe import describe
from outlast.assessment.observed import Standing, compare
from outlast.assessment.seen import Seen, SeenKind
from outlast.assessment.system import System
from outlast.blueprint.load import parse_placed

NOW = 1_700_000_000.0
TEXT = b"""
outlast: 1
name: desk
agents:
  support: {needs: {orders: hard, writer: hard, answers: soft}, reads: {queue: tickets}}
  idle: {needs: {orders: hard}}
services:
  front: {kind: gateway, needs: {writer: hard}}
models:
  writer:
    endpoints: [{name: a, url: "http://127.0.0.1:1/v1", model: m}, {name: b, url: "http://127.0.0.1:2/v1", model: m}]
    fallback: {name: c, url: "http://127.0.0.1:3/v1", model: m}
stores:
  orders: {kind: sql}
  answers: {kind: cache}
queues:
  tickets: {}
"""


def seen(target: str, kind: SeenKind = "guard", source: str = "support") -> Seen:
    return Seen(source=source, target=target, kind=kind, runs=3, last_at=NOW, via=("look",))


ALL = (
    seen("journal", "journal"),
    seen("orders"),
    seen("writer", "model"),
    seen("answers"),
    seen("writer.a", "endpoint", "writer"),
)


def system(*observed: Seen, text: bytes = TEXT) -> System:
    blueprint, places = parse_placed(text)
    return describe(blueprint, places, "outlast.yaml", (), observed)


def standings(*observed: Seen, text: bytes = TEXT) -> dict[str, Standing]:
    found = compare(system(text=text), observed)
    return {f"{edge.source} -> {edge.target}": edge.standing for edge in found.edges}


def test_what_is_declared_and_seen_agrees() -> None:
    assert standings(*ALL) == {
        "support -> journal": "seen",
        "support -> orders": "seen",
        "support -> writer": "seen",
        "support -> answers": "seen",
        "writer -> writer.a": "seen",
        "writer -> writer.b": "standing by",
        "writer -> writer.c": "standing by",
        "support -> tickets": "out of sight",
        "front -> writer": "out of sight",
        "idle -> orders": "out of sight",
        "idle -> journal": "out of sight",
    }
    assert compare(system(), ALL).equal


@pytest.mark.parametrize("planted", [seen("crm"), seen("refund", "tool"), seen("idle", "agent"), seen("idle.x")])
def test_what_nobody_declared_is_found(planted: Seen) -> None:
    found = compare(system(), (*ALL, planted))
    assert [edge.target for edge in found.of("undeclared")] == [planted.target]
    assert not found.equal


def test_what_no_run_did_is_found_where_runs_could_have_shown_it() -> None:
    found = compare(system(), tuple(one for one in ALL if one.target != "answers"))
    assert [edge.target for edge in found.of("never seen")] == ["answers"]
    assert not found.equal
    nothing = compare(system(), ())
    assert {edge.standing for edge in nothing.edges} == {"out of sight"}


def test_a_name_that_two_sections_have_means_the_one_of_its_kind() -> None:
    text = b"""
agents: {desk: {needs: {models.desk: hard, stores.desk: hard}}}
models: {desk: {endpoints: [{name: a, url: "http://127.0.0.1:1/v1", model: m}]}}
stores: {desk: {kind: sql}}
"""
    found = standings(
        seen("desk", "model", "desk"), seen("desk.a", "endpoint", "desk"), seen("journal", "journal", "desk"), text=text
    )
    assert found["agents.desk -> models.desk"] == "seen"
    assert found["models.desk -> models.desk.a"] == "seen"
    assert found["agents.desk -> stores.desk"] == "never seen"


def test_an_undeclared_edge_is_a_finding_with_a_patch_where_the_file_knows_what_it_leads_to() -> None:
    def found(*observed: Seen) -> list[tuple[str, bool]]:
        findings = assess(system(*observed), NOW).findings
        return [(one.subject, bool(one.fix.edits)) for one in findings if one.rule == "OL-MAP-001"]

    assert found(*ALL) == []
    assert found(*ALL, seen("crm"), seen("front")) == [("support -> front", True), ("support -> crm", False)]
