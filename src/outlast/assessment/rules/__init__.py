"""All rules, family by family."""

from __future__ import annotations

from outlast.assessment.rule import Rule
from outlast.assessment.rules import (
    acceptance,
    agent,
    alarm,
    availability,
    aws,
    data,
    dependency,
    deployment,
    drill,
    load,
    observed,
    queue,
    recovery,
    region,
    residency,
    retry,
    timeout,
)

FAMILIES: dict[str, tuple[str, tuple[Rule, ...]]] = {
    "AVL": ("Redundancy and availability", availability.RULES),
    "DEP": ("Dependencies", dependency.RULES),
    "TIM": ("Time-outs", timeout.RULES),
    "RET": ("Retries", retry.RULES),
    "LOD": ("Load, capacity and quotas", load.RULES),
    "QUE": ("Queues", queue.RULES),
    "DAT": ("Data and backups", data.RULES),
    "REC": ("Recovery objectives", recovery.RULES),
    "REG": ("Regions and failover", region.RULES),
    "RES": ("Residency", residency.RULES),
    "AGT": ("Agents and models", agent.RULES),
    "OBS": ("Alarms", alarm.RULES),
    "EVI": ("Drills and evidence", drill.RULES),
    "MAP": ("The description and what runs have shown", observed.RULES),
    "CHG": ("Deployments", deployment.RULES),
    "AWS": ("What services of AWS do and do not", aws.RULES),
    "ACC": ("Acceptances", acceptance.RULES),
}
"""By the three letters in their ids: what each family is about, and its rules."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in FAMILIES.values() for rule in rules)
