"""What services of AWS do, and do not, where that is often taken otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.arithmetic import duration_line, time_text
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, about, between, change
from outlast.assessment.technology import canonical


def _slow_standby(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        takeover = component.across_zones.takeover_s
        works = facts.graph.works_of[component.name]
        own = component.survive.get("zone")
        promised = own.rto_s if own is not None and own.rto_s is not None else facts.promised(works, "zone")
        if canonical(component.technology) != "rds" or component.across_zones.mode == "none":
            continue
        if promised is None or takeover.value <= promised:
            continue
        fix = Fix(
            text="use a Multi-AZ DB cluster (two readable standbys, typically under 35 s) or Aurora",
            edits=(change(component.place, "aws", "rds_cluster"), change(component.place, "standbys", 2)),
            buys=f"rto zone {time_text(promised)}",
            costs="a third instance",
        )
        wanted = time_text(promised)
        reason = f"{component.name} is a Multi-AZ instance: its standby takes 60 to 120 s, {wanted} is promised"
        radius = max(0.6 * facts.weight_of(component.name), facts.radius(component.name, "node"))
        yield about(component, radius, reason, fix, (duration_line("takeover", takeover),))


def _strong_elsewhere(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if not component.across_regions.strong or component.across_regions.quorum or not component.technology:
            continue  # where no service is named, it is believed
        if component.provider != "aws":
            continue
        fix = Fix(
            text="promise the lag that it has, or keep what must not be lost in a store that can be strong (DynamoDB "
            "with multi-region strong consistency, Aurora DSQL)",
            edits=(change(component.place, "across_regions", "eventual"),),
            buys="a description that is true, and an rpo that holds",
            costs="a larger rpo, or another store",
        )
        reason = f"{component.name} is said to be strong across regions; {component.technology} copies asynchronously"
        yield about(component, max(0.9 * facts.weight_of(component.name), 0.5), reason, fix)


def _deep_health_check(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.settings.get("health_check") != "deep":
            continue
        needed = [edge.target for edge in facts.graph.needs[component.name]]
        behind = [edge.target for name in needed for edge in facts.graph.needs[name]] or needed
        fix = Fix(
            text="let the health check ask whether the process can answer, and nothing behind it",
            edits=(change(component.place, "health", "shallow"),),
            buys="an outage of what is behind degrades answers instead of killing every healthy task",
            costs="what is behind is watched by an alarm instead",
        )
        names = ", ".join(dict.fromkeys(behind)) or "what is behind"
        reason = (
            f"the health check of {component.name} fails with {names}: all targets are replaced at once, for nothing"
        )
        yield about(component, 0.7 * max(facts.weight_of(component.name), 0.6), reason, fix)


def _breaker_on_the_way(facts: Facts) -> Iterator[Weakness]:
    for edge in facts.edges:
        target = facts.target(edge)
        if target.kind != "function" or not edge.hard or not edge.synchronous:
            continue
        if "breaker" not in target.name or not facts.graph.needs[target.name]:
            continue
        fix = Fix(
            text="let callers hold the state of the breaker; a function may drive it, beside the way",
            edits=(change(edge.place, "mode", "asynchronous"),),
            buys="one dependency less in every call",
            costs="state in each caller",
        )
        reason = f"every call of {edge.source} goes through {target.name}: the breaker is itself something that fails"
        yield between(edge, 0.5 * max(facts.weight_of(edge.source), 0.6), reason, fix)


def _scaled_to_nothing(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        site = next((site for site in component.sites if not site.standby), None)
        if component.kind != "endpoint" or site is None or site.instances > 0:
            continue
        fix = Fix(
            text="keep one machine running in each of two zones",
            edits=(change(component.place, "min", 2),),
            buys="the first request is answered, and recovery launches nothing",
            costs="two machines, all the time",
        )
        launched = time_text(component.relaunch_s.value + component.warm_up_s.value)
        reason = f"{component.name} is scaled to nothing: the first request, and every recovery, waits {launched}"
        yield about(component, 0.4 * max(facts.weight_of(component.name), 0.6), reason, fix)


RULES = (
    Rule(
        id="OL-AWS-001",
        title="a Multi-AZ instance where a cluster is needed",
        why="RDS Multi-AZ instances fail over in 60 to 120 s; Multi-AZ DB clusters typically in under 35 s.",
        trigger="zone",
        pillar="REL11-BP02",
        check=_slow_standby,
    ),
    Rule(
        id="OL-AWS-002",
        title="strong across regions, on a service that is not",
        why="Aurora Global Database, S3 replication, global datastores and default global tables copy asynchronously.",
        trigger="always",
        pillar="REL13-BP02",
        lens="AGENTREL03",
        check=_strong_elsewhere,
    ),
    Rule(
        id="OL-AWS-003",
        title="health checks that reach through",
        why="When a health check fails with a shared dependency, the balancer drops, and ECS kills, every task.",
        trigger="dependency",
        pillar="REL11-BP05",
        check=_deep_health_check,
    ),
    Rule(
        id="OL-AWS-004",
        title="a breaker that is itself on the way",
        why="A breaker in a function on the call path adds the failures of that function to every call.",
        trigger="dependency",
        pillar="REL05-BP01",
        check=_breaker_on_the_way,
    ),
    Rule(
        id="OL-AWS-005",
        title="scaled to nothing",
        why="What is not running must be launched, loaded and warmed before it answers.",
        trigger="overload",
        pillar="REL11-BP05",
        lens="AGENTREL01",
        check=_scaled_to_nothing,
    ),
)
