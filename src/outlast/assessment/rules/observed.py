"""What runs have shown and the file does not say. Only where somebody has looked: ``outlast graph --observed``."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.observed import compare
from outlast.assessment.place import nowhere
from outlast.assessment.rule import Rule, Weakness, change

_unknown_radius = 0.4
"""The blast radius of what the file does not even name, next to that of who asks it."""


def _undeclared(facts: Facts) -> Iterator[Weakness]:
    for edge in compare(facts.system, facts.system.observed).of("undeclared"):
        source = facts.system.components.get(edge.source)
        target = facts.system.components.get(edge.target)
        weight = facts.weight_of(edge.source) if source is not None else 1.0
        by = f" by {', '.join(edge.via)}" if edge.via else ""
        reason = f"{edge.runs} runs have shown that {edge.source} asks {edge.target}{by}; the file does not say so"
        edits = (
            (change(source.place, f"needs.{edge.target}", "hard"),) if source is not None and target is not None else ()
        )
        fix = Fix(
            text="declare it, with what is done without it; or take the call out of the code",
            edits=edits,
            buys="its loss is in every prediction",
            costs="nothing",
        )
        yield Weakness(
            subject=f"{edge.source} -> {edge.target}",
            components=tuple(one.name for one in (source, target) if one is not None),
            radius=max(_unknown_radius * weight, facts.radius(edge.target) if target is not None else 0.0),
            reason=reason,
            fix=fix,
            place=source.place if source is not None else nowhere,
        )


RULES = (
    Rule(
        id="OL-MAP-001",
        title="runs ask what the file does not name",
        why="A need that is not declared is missing in every prediction, drawing, alarm and drill.",
        trigger="always",
        pillar="REL03-BP02",
        lens="AGENTREL08",
        check=_undeclared,
    ),
)
