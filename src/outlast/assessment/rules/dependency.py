"""Dependencies: what is needed of others, and what happens without it."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import time_text
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.rule import Rule, Weakness, about, between, change

_bystanders = frozenset(("log", "metric", "trace", "scheduler", "identity", "key", "secret", "network", "pipeline"))
"""Kinds of services that nothing needs to name."""


def _hard_on_others(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if target.kind != "external" or not edge.hard or not edge.synchronous or edge.any_of:
            continue
        if (edge.on_loss or target.on_loss) not in ("", "fail") or edge.cache_s is not None:
            continue
        away = time_text(target.repair_s.value)
        fix = Fix(
            text="say what is done without it: wait (the step is durable), use an earlier answer, or answer less",
            edits=(change(edge.place, "on_loss", "wait"),),
            buys=f"an outage of {target.name} delays work, and fails none",
            costs="work that waits must be shown to whoever waits for it",
        )
        reason = f"{edge.source} fails while {target.name} is away, which is not ours to mend (taken as {away})"
        yield between(edge, facts.radius(target.name), reason, fix)


def _soft_without_answer(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if edge.hard or not edge.synchronous or edge.on_loss or target.on_loss or edge.cache_s is not None:
            continue
        fix = Fix(
            text="say what is done instead, and test it",
            edits=(change(edge.place, "on_loss", "skip"),),
            buys="a fallback that somebody has thought of, shown in drills and drawings",
            costs="nothing at run time",
        )
        reason = f"{edge.source} is said to do without {edge.target}, but not how"
        yield between(edge, 0.3 * facts.weight_of(edge.source), reason, fix)


def _no_alternative(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "model":
            continue
        edges = [edge for edge in facts.graph.needs[component.name] if edge.any_of]
        if len(edges) != 1:
            continue
        target = facts.target(edges[0])
        local = bool(target.sites) and all(site.zones == ("local",) for site in target.sites)
        example = {"name": "spare", "url": "http://127.0.0.1:8002/v1"} if local else {
            "name": "nova", "bedrock": "eu.amazon.nova-lite-v1:0", "mark": "degraded"
        }  # fmt: skip
        fix = Fix(
            text="name a second endpoint, or a lesser model as fallback; its answers are marked as degraded",
            edits=(change(component.place, "fallback", example),),
            buys=f"the loss of {target.name} is survived",
            costs="nothing while it is not asked, where it is paid by the token",
        )
        yield about(component, facts.radius(target.name), f"only {target.name} answers for {component.name}", fix)


def _unused(facts: Facts) -> Iterator[Weakness]:
    used = {edge.target for edge in facts.edges} | {name for names in facts.graph.entries.values() for name in names}
    for component in facts.components:
        if component.name in used or component.kind in ("training", "edge", "balancer", "agent"):
            continue
        if component.settings.get("kind") in _bystanders or component.classes or facts.graph.needs[component.name]:
            continue
        fix = Fix(
            text="name it in the needs of whoever uses it, or remove it",
            buys="its loss is assessed",
            costs="nothing",
        )
        reason = f"nothing is said to need {component.name}: either the graph lacks an edge, or it is not needed"
        yield about(component, 0.1, reason, fix)


def _shared_pool(facts: Facts) -> Iterator[Weakness]:
    sharing = [one for one in facts.components if any(share.startswith("worker pool ") for share in one.shares)]
    classes = sorted({work for component in sharing for work in component.classes})
    if len(classes) < 2:
        return
    for component in sharing:
        if component.classes[:1] == tuple(classes[:1]) and len(sharing) > 1 and component is sharing[0]:
            continue
        edits: tuple[Edit, ...] = (change(component.place, "workers", {"min": 2}),)
        fix = Fix(
            text="give it workers of its own",
            edits=edits,
            buys="a surge, a leak or a crash in one class leaves the other alone",
            costs="two more worker processes",
        )
        others = ", ".join(work for work in classes if work not in component.classes) or classes[0]
        reason = f"{component.name} shares its workers with the class {others}"
        yield about(component, 0.4 * max(facts.graph.weight(work) for work in classes), reason, fix)


RULES = (
    Rule(
        id="OL-DEP-001",
        title="fails when somebody else's service fails",
        why="What belongs to others fails on its own schedule. Work that is durable can wait for it.",
        trigger="dependency",
        pillar="REL05-BP01",
        lens="AGENTREL08",
        check=_hard_on_others,
    ),
    Rule(
        id="OL-DEP-002",
        title="a soft dependency without a fallback",
        why="A dependency is soft only when somebody has decided, and tried, what happens without it.",
        trigger="dependency",
        pillar="REL05-BP01",
        lens="AGENTREL08",
        check=_soft_without_answer,
    ),
    Rule(
        id="OL-DEP-003",
        title="a model with one endpoint and no fallback",
        why="Models are throttled, retired and overloaded more often than anything else that an agent stands on.",
        trigger="dependency",
        pillar="REL05-BP01",
        lens="AGENTREL08",
        check=_no_alternative,
    ),
    Rule(
        id="OL-DEP-004",
        title="nothing is said to need it",
        why="An edge that is missing in the description is missing in every prediction.",
        trigger="always",
        pillar="REL03-BP02",
        check=_unused,
    ),
    Rule(
        id="OL-DEP-005",
        title="classes of work share their workers",
        why="Work that may wait must not be able to crowd out, or crash, work that somebody waits for.",
        trigger="overload",
        pillar="REL10-BP03",
        lens="AGENTREL01",
        check=_shared_pool,
    ),
)
