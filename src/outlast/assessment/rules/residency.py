"""Residency: data that is processed, logged or copied where it must not be."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.residency import leaks, stays
from outlast.assessment.rule import Rule, Weakness, about

_telemetry = ("log", "metric", "trace")


def _profile(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "endpoint":
            continue
        places = leaks(component, facts.system.residency)
        if not places:
            continue
        where = "anywhere in the world" if "global" in places else f"in {', '.join(places)}"
        fix = Fix(
            text=f"ask the inference profile of the geography ({facts.system.residency}.…) or a model in the region",
            buys="prompts stay where they must",
            costs="less capacity to choose from than worldwide",
        )
        reason = (
            f"prompts that {component.name} is sent are processed {where}; they must stay in {facts.system.residency}"
        )
        yield about(component, 0.5, reason, fix)


def _region(facts: Facts) -> Iterator[Weakness]:
    for region in facts.system.regions:
        if stays(region.name, facts.system.residency) or not region.place.path:
            continue
        fix = Fix(
            text=f"choose a region in {facts.system.residency}",
            buys="a failover does not break the law",
            costs="nothing",
        )
        reason = f"{region.name} is not in {facts.system.residency}: sessions, prompts and copies of data go there"
        yield Weakness(subject=region.name, radius=0.5, reason=reason, fix=fix, place=region.place)
    known = {region.name for region in facts.system.regions}
    for component in facts.components:
        if component.kind == "endpoint" or component.settings.get("kind") in _telemetry:
            continue
        places = [place for place in leaks(component, facts.system.residency) if place not in known]
        if places:
            fix = Fix(text="run it where its data must stay", buys="its data stays", costs="nothing")
            yield about(component, 0.5, f"{component.name} is in {', '.join(places)}, outside of its residency", fix)


def _logs(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.settings.get("kind") not in _telemetry:
            continue
        places = leaks(component, facts.system.residency)
        if places:
            fix = Fix(
                text="keep logs, metrics and traces where the data is, or without payloads",
                buys="what is written about data stays with it",
                costs="a second place to look",
            )
            reason = f"{component.name} takes what is logged to {', '.join(places)}: prompts and names are in it"
            yield about(component, 0.4, reason, fix)


def _copies(facts: Facts) -> Iterator[Weakness]:
    for name, backup in facts.system.backups.items():
        component = facts.system.components.get(name)
        wanted = (component.residency if component is not None else "") or facts.system.residency
        places = [place for place in backup.region_copies if not stays(place, wanted)]
        if places:
            fix = Fix(text=f"copy it within {wanted}", buys="copies stay where the data must", costs="nothing")
            reason = f"backups of {name} are copied to {', '.join(places)}, outside of {wanted}"
            yield Weakness(subject=name, components=(name,), radius=0.4, reason=reason, fix=fix, place=backup.place)


def _others(facts: Facts) -> Iterator[Weakness]:
    if not facts.system.residency:
        return
    for component in facts.components:
        if component.kind != "external" or component.residency:
            continue
        edits: tuple[Edit, ...] = (Edit((*component.place.path, "residency"), facts.system.residency),)
        fix = Fix(
            text="find out where they process what they are sent, and say so",
            edits=edits,
            buys="a description that can be shown to an auditor",
            costs="a question",
        )
        reason = (
            f"nothing says where {component.name} processes what it is sent; data must stay in {facts.system.residency}"
        )
        yield about(component, 0.15, reason, fix)


RULES = (
    Rule(
        id="OL-RES-001",
        title="prompts are processed outside of their residency",
        why="A `global.` inference profile processes anywhere; `eu.` and the like anywhere in that geography.",
        trigger="always",
        pillar="REL10-BP01",
        lens="AGENTSEC01",
        check=_profile,
    ),
    Rule(
        id="OL-RES-002",
        title="a region outside of the residency",
        why="What takes over has all the data.",
        trigger="always",
        pillar="REL10-BP01",
        check=_region,
    ),
    Rule(
        id="OL-RES-003",
        title="logs leave the residency",
        why="Logs, metrics and traces hold what they are about.",
        trigger="always",
        pillar="REL06-BP01",
        lens="AGENTSEC05",
        check=_logs,
    ),
    Rule(
        id="OL-RES-004",
        title="backups leave the residency",
        why="A copy is the data.",
        trigger="always",
        pillar="REL09-BP02",
        check=_copies,
    ),
    Rule(
        id="OL-RES-005",
        title="nobody knows where others process",
        why="Residency ends where data is handed on.",
        trigger="always",
        lens="AGENTSEC01",
        check=_others,
    ),
)
