"""Agents and models: runs without bounds, models that get worse unseen."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, about, change


def _no_budget(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "agent" or component.budget:
            continue
        fix = Fix(
            text="bound steps, tokens, money and time of one run",
            edits=(change(component.place, "budget", {"steps": 60, "tokens": 40000, "time": "10m"}),),
            buys="an agent that goes in circles is held for a person, at a known price",
            costs="a long run must ask",
        )
        reason = f"nothing bounds what one run of {component.name} uses up"
        yield about(component, 0.2 * max(facts.weight_of(component.name), 0.6), reason, fix)


def _no_canary(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "model" or component.settings.get("canary"):
            continue
        fix = Fix(
            text="ask it every minute what its answers are known to",
            edits=(change(component.place, "canary", {"prompts": f"golden/{component.name}.jsonl", "every": "60s"}),),
            buys="a model that got worse is noticed in minutes, not by customers",
            costs="a few requests a minute",
        )
        reason = (
            f"nobody notices when the answers of {component.name} get worse: it answers, and health checks are green"
        )
        yield about(component, 0.2 * max(facts.weight_of(component.name), 0.6), reason, fix)


def _no_versions(facts: Facts) -> Iterator[Weakness]:
    trained = {str(component.settings.get("serves")) for component in facts.components if component.kind == "training"}
    for component in facts.components:
        own = component.name in trained
        if component.kind != "model" or not own or component.settings.get("keep_versions"):
            continue
        if not component.settings.get("canary"):
            continue  # the canary comes first: it is what says that a version is bad
        fix = Fix(
            text="keep earlier versions, and roll back to them",
            edits=(change(component.place, "canary.keep_versions", 5),),
            buys="a poisoned version is replaced in minutes",
            costs="storage of the versions",
        )
        reason = f"{component.name} is trained again and again, and no earlier version is kept to go back to"
        yield about(component, 0.3 * max(facts.weight_of(component.name), 0.6), reason, fix)


RULES = (
    Rule(
        id="OL-AGT-001",
        title="an agent without a budget",
        why="An agent decides by itself what it does next. What it may use up is for others to say.",
        trigger="always",
        pillar="REL05-BP02",
        lens="AGENTREL02",
        check=_no_budget,
    ),
    Rule(
        id="OL-AGT-002",
        title="a model without a canary",
        why="A model fails by answering worse. Only known questions with known answers show that.",
        trigger="change",
        pillar="REL06-BP01",
        lens="AGENTREL07",
        check=_no_canary,
    ),
    Rule(
        id="OL-AGT-003",
        title="a trained model without earlier versions",
        why="Training on poisoned data succeeds. The way out is the version before.",
        trigger="corruption",
        pillar="REL08-BP05",
        lens="AGENTREL08",
        check=_no_versions,
    ),
)
