"""The table of failure modes: nothing is left out, and what nobody declared is said so."""

from __future__ import annotations

from pathlib import Path

from outlast.assessment.describe import describe
from outlast.assessment.facts import Facts
from outlast.assessment.failure import FailureMode, failures
from outlast.blueprint.load import load_file, parse

EXAMPLES = Path(__file__).parents[2] / "examples"


def facts_of(name: str) -> Facts:
    blueprint, places = load_file(EXAMPLES / name)
    return Facts(describe(blueprint, places), now=0.0)


def rows_of(text: str) -> list[FailureMode]:
    return list(failures(Facts(describe(parse(text.encode())), now=0.0)))


def row(rows: list[FailureMode], subject: str, mode: str) -> FailureMode:
    return next(one for one in rows if one.subject == subject and mode in one.mode)


def test_every_component_and_every_call_has_a_row() -> None:
    facts = facts_of("blueprints/two_regions_warm_standby.yaml")
    subjects = {one.subject for one in failures(facts)}
    assert set(facts.system.components) <= subjects
    calls = {f"{edge.source} -> {edge.target}" for edge in facts.edges if facts.target(edge).kind != "endpoint"}
    assert calls
    assert calls <= subjects


def test_a_row_says_what_protects_it_and_which_planned_drill_would_prove_it() -> None:
    rows = list(failures(facts_of("blueprints/two_regions_warm_standby.yaml")))
    zone = row(rows, "orders", "zone")
    assert zone.effect == "live is degraded; over after 1m"
    assert (zone.drill, zone.declared) == ("zone-off, every 7d", True)
    assert "a copy outside of" in zone.protected_by
    spoiled = row(rows, "journal", "falsified")
    assert (spoiled.drill, spoiled.declared) == ("journal-restore, every 30d", True)
    assert spoiled.protected_by.startswith("backups: any instant, whole copies, a lock, tried restores")
    assert row(rows, "writer.sonnet", "away").protected_by == "writer.own stands in for writer.sonnet"


def test_a_drill_of_something_else_proves_nothing() -> None:
    text = (
        "agents: {a: {needs: {s: hard}}}\nstores: {s: {kind: sql}}\ndrills: {weekly: [model-poisoned, worker-crash]}\n"
    )
    rows = rows_of(text)
    assert not row(rows, "s", "falsified").declared
    assert not row(rows, "s", "process").declared
    assert row(rows, "a", "process").declared


def test_what_nobody_declared_is_said_so() -> None:
    rows = rows_of("objectives: {live: {}}\nagents: {a: {class: live, needs: {s: hard}}}\nstores: {s: {kind: sql}}\n")
    late = row(rows, "a -> s", "late")
    assert (late.protected_by, late.drill, late.declared) == ("nothing declared", "s-gray", False)
    assert row(rows, "s", "falsified").protected_by == "nothing declared"
    assert row(rows, "a", "does not stop").protected_by == "nothing declared"
    assert row(rows, "s", "away").shows == "calls to it fail; no alarm on what clients notice"


def test_a_call_shows_its_time_out_its_deadline_and_what_is_done_instead() -> None:
    rows = rows_of(
        "agents: {a: {deadline: 9s, needs: {s: {strength: soft, timeout: 1s, retry: {attempts: 3, budget: 10%}, "
        "cache: 5m, on_loss: skip}}}}\nstores: {s: {kind: sql}}\n"
    )
    late = row(rows, "a -> s", "late").protected_by
    assert late == "time-out 1s, 2 retries, 10% of the calls at most, a deadline of 9s"
    assert row(rows, "a -> s", "no answer (soft)").protected_by == "answers up to 5m old, instead: skip"


def test_a_queue_can_be_poisoned_and_pile_up() -> None:
    rows = list(failures(facts_of("document_intake/aws.yaml")))
    assert row(rows, "documents_in", "breaks whoever reads").protected_by == "dead letters after 5 tries"
    assert row(rows, "documents_in", "readers are away").protected_by == "kept 14d"
    assert row(rows, "intake -> documents_in", "piles up").protected_by == "the work waits, 14d at most"


def test_a_region_that_is_made_good_from_backups_says_so() -> None:
    rows = list(failures(facts_of("blueprints/one_region_budget.yaml")))
    lost = row(rows, "journal", "region").protected_by
    assert lost == "launched in another region, restored there from a copy of its backups"
    assert row(rows, "support", "region").protected_by == "launched in another region"


def test_stopping_replication_does_not_prove_that_a_region_can_be_lost() -> None:
    regions = (
        "regions: {strategy: warm_standby, home: {aws: eu-central-1}, standby: {aws: eu-west-1}}\nagents: {a: {}}\n"
    )
    assert not row(rows_of(f"{regions}drills: {{weekly: [replication-stopped]}}\n"), "a", "region").declared
    assert row(rows_of(f"{regions}drills: {{monthly: [region-off]}}\n"), "a", "region").drill == "region-off, every 30d"
