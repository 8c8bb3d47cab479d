"""What watches and keeps: backup plans, vaults, alarms."""

from __future__ import annotations

import re
from typing import Any

from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Resource, count, items, listed, number, plain, references, texts, true
from outlast.assessment.template.sketch import Part, Sketch
from outlast.kernel.unit import duration_text

_METRICS: tuple[tuple[str, str, str], ...] = (
    (r"ApproximateAgeOfOldestMessage|IteratorAge|AgeOfOldest", "queue_age", "s"),
    (r"ApproximateNumberOfMessages|NumberOfMessages", "queue_depth", ""),
    (
        r"ReplicaLag|ReplicationLag|AuroraReplicaLag|ReplicationLatency|AuroraGlobalDBReplicationLag",
        "replication_lag",
        "s",
    ),
    (r"5XX|Error|Failed|Fault", "errors", ""),
    (r"Throttle|Rejected", "throttles", ""),
    (r"Latency|ResponseTime|Duration|TimeToFirst", "latency", ""),
    (r"CPU", "cpu", ""),
    (r"UnHealthyHost|HealthyHost", "healthy_hosts", ""),
)
"""A metric of CloudWatch, by a part of its name, and what it is called in a blueprint."""
_SCALING = re.compile(r"ScalingPolicy|appautoscaling_policy|autoscaling_policy")
_MILLISECONDS = ("AuroraReplicaLag", "AuroraGlobalDBReplicationLag", "ReplicationLatency", "IteratorAge")


def connect(sketch: Sketch) -> None:
    """Put backups to the stores that they are of, and alarms to the file."""
    _backups(sketch)
    for alarm in sketch.of("alarm"):
        sketch.use(alarm)
        _alarm(sketch, alarm)
    for alarm in sketch.of("composite_alarm"):
        sketch.use(alarm)
        _composite(sketch, alarm)


def _backups(sketch: Sketch) -> None:
    locks = {
        one.id: days
        for one in sketch.of("backup_vault")
        if (days := count(one.get("LockConfiguration.MinRetentionDays")))
    }
    for vault in sketch.of("backup_vault", "backup_lock"):
        sketch.use(vault)
        days = count(vault.get("min_retention_days"))
        if days and noun_of(vault.type) == "backup_lock":
            locks |= {one.id: days for one in sketch.resources_at(vault, "backup_vault_name")}
    chosen: set[str] = set()
    for choice in sketch.of("backup_choice"):
        sketch.use(choice)
        plans = [
            one for one in sketch.resources_at(choice, "BackupPlanId", "plan_id") if noun_of(one.type) == "backup_plan"
        ]
        parts = _chosen(sketch, choice)
        for plan in plans:
            chosen.add(plan.id)
            sketch.use(plan)
            for rule in items(plan.get("BackupPlan.BackupPlanRule", "rule")):
                for part in parts:
                    _rule(sketch, part, plan, rule, locks)
    for plan in sketch.of("backup_plan"):
        if plan.id not in chosen:
            sketch.leave(plan, "a backup plan without a selection: nothing is backed up by it")


def _chosen(sketch: Sketch, choice: Resource) -> list[Part]:
    paths = ("BackupSelection.Resources", "resources")
    parts = [part for part in sketch.parts_at(choice, *paths) if part.section == "stores"]
    everything = any(text.strip() == "*" for path in paths for text in texts(listed(choice.get(path))))
    tags = choice.get("BackupSelection.ListOfTags", "BackupSelection.Conditions", "selection_tag", "condition")
    if not parts and (everything or tags is not None):
        parts = [
            part for part in sketch.parts.values() if part.section == "stores" and part.body.get("data") == "critical"
        ]
        if tags is not None:
            wanted = [{key.replace("_", "").lower(): value for key, value in tag.items()} for tag in items(tags)]
            pairs = [
                (str(tag.get("conditionkey") or tag.get("key")), str(tag.get("conditionvalue") or tag.get("value")))
                for tag in wanted
            ]
            parts = [part for part in parts if any(_tagged(part.resources[0], key, value) for key, value in pairs)]
    return parts


def _tagged(resource: Resource, key: str, value: str) -> bool:
    tags = resource.get("Tags", "tags")
    if isinstance(tags, dict):
        return str(tags.get(key)) == value  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return any(str(tag.get("Key")) == key and str(tag.get("Value")) == value for tag in items(tags))


def _rule(sketch: Sketch, part: Part, plan: Resource, rule: dict[str, Any], locks: dict[str, int]) -> None:
    known = {key.replace("_", "").lower(): value for key, value in rule.items()}
    continuous = true(known.get("enablecontinuousbackup"))
    days = next(
        (
            count(value)
            for one in items(known.get("lifecycle"))
            for key, value in one.items()
            if "delete" in key.lower()
        ),
        None,
    )
    if continuous:
        part.backup.setdefault("point_in_time", f"{min(days or 35, 35)}d")
    else:
        part.backup["full_every"] = _every(str(known.get("scheduleexpression") or known.get("schedule") or ""))
        if days:
            part.backup["keep"] = f"{days}d"
    vaults = [value for key, value in known.items() if key.startswith(("targetbackupvault", "targetvaultname"))]
    for reference in references(vaults):
        if reference.resource in locks:
            part.backup["lock"] = f"{locks[reference.resource]}d"
    for copy in items(known.get("copyactions") or known.get("copyaction")):
        part.copies.append(_destination(sketch, part, plan, copy))


def _destination(sketch: Sketch, part: Part, plan: Resource, copy: dict[str, Any]) -> str:
    found = [one for one in map(sketch.resource, references(copy)) if one is not None]
    for vault in found:
        sketch.use(vault)
        if vault.region and vault.region != plan.region:
            return vault.region
    arns = [text for text in texts(copy.values()) if text.startswith("arn:")]
    region = plain(arns[0]).split(":")[3] if arns and arns[0].count(":") >= 5 else ""
    if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]", region) and region != plan.region:
        return region
    part.note("its copies go to a vault outside of these templates: taken as in another account")
    return "vault"


def _every(schedule: str) -> str:
    match = re.search(r"rate\((\d+) (minute|hour|day)", schedule)
    if match is not None:
        return f"{match[1]}{match[2][0]}"
    fields = re.findall(r"\S+", schedule.removeprefix("cron(").rstrip(")"))
    if len(fields) == 6:
        _, hour, day, _, weekday, _ = fields
        if hour == "*":
            return "1h"
        if "/" in hour and hour.split("/")[1].isdigit():
            return f"{hour.split('/')[1]}h"
        if weekday not in ("?", "*"):
            return "7d"
        if day not in ("?", "*") and "/" not in day:
            return "30d"
    return "24h"


def _alarm(sketch: Sketch, alarm: Resource) -> None:
    metric = str(alarm.get("MetricName", "metric_name") or "expression")
    name = sketch.name(f"{alarm.label}-alarm" if not re.search("alarm", alarm.label, re.IGNORECASE) else alarm.label)
    known = next(((called, unit) for pattern, called, unit in _METRICS if re.search(pattern, metric)), None)
    called, unit = known or ("_".join(re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", metric)).lower()[:60] or "metric", "")
    about = sketch.parts_at(alarm, "Dimensions", "dimensions", "Metrics", "metric_query")
    threshold = number(alarm.get("Threshold", "threshold"))
    said: dict[str, Any] = {"metric": called}
    below = str(alarm.get("ComparisonOperator", "comparison_operator") or "").startswith("Less")
    millis = "Milli" in metric or metric in _MILLISECONDS
    value = (threshold if threshold is not None else 0.0) / (1000 if unit == "s" and millis else 1)
    said["below" if below else "above"] = duration_text(value) if unit == "s" and value > 0 else f"{value:g}"
    period = number(alarm.get("Period", "period")) or 60.0
    said["for"] = duration_text(period * (count(alarm.get("EvaluationPeriods", "evaluation_periods")) or 1))
    _page(sketch, alarm, said)
    note = "its threshold is not in the template" if threshold is None else ""
    sketch.alarms[name] = said | {"from": alarm, "note": note, "about": about[0].resources[0].id if about else ""}


def _page(sketch: Sketch, alarm: Resource, said: dict[str, Any]) -> None:
    named = alarm.refers("AlarmActions", "alarm_actions")
    for reference in named:
        resource = sketch.resource(reference)
        if resource is not None and _SCALING.search(resource.type):
            said["do"] = "scale"
        target = sketch.part(reference.resource)
        if target is not None and target.noun == "topic":
            said["page"] = sketch.escalation.setdefault(target.id, target.name)
    actions = [*listed(alarm.get("AlarmActions")), *listed(alarm.get("alarm_actions"))]
    if "page" not in said and "do" not in said and any(action is not None for action in actions):
        said["page"] = sketch.escalation.setdefault("", "oncall")


def _composite(sketch: Sketch, alarm: Resource) -> None:
    of = {found["from"].id: name for name, found in sketch.alarms.items()}
    parts = [of[one.resource] for one in alarm.refers("AlarmRule", "alarm_rule") if one.resource in of]
    rule = str(alarm.get("AlarmRule", "alarm_rule") or "")
    if not parts:
        sketch.leave(alarm, "the alarms that it is made of were not found")
        return
    said: dict[str, Any] = {"all" if " AND " in rule else "any": parts}
    _page(sketch, alarm, said)
    sketch.alarms[sketch.name(alarm.label)] = said | {"from": alarm, "note": "", "about": ""}


def drop_told(sketch: Sketch) -> None:
    """Topics that only alarms write to are not components of the system: they are whom alarms tell."""
    for name in list(sketch.escalation):
        part = sketch.parts.get(name)
        if part is None:
            continue
        if not any(name in other.needs for other in sketch.parts.values()) and not part.needs:
            for resource in part.resources:
                sketch.use(resource)
            del sketch.parts[name]
