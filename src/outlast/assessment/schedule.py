"""How often a store is copied to where it cannot be destroyed together with the original."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outlast.assessment.choice import Change, Choice, Rung, choose
from outlast.assessment.facts import Facts
from outlast.assessment.redundancy import alone, given, limits_of
from outlast.assessment.variant import day_s, kept
from outlast.blueprint.backup import Backup
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.store import Stored

_instants = ("dynamodb", "rds", "aurora")
"""Services that restore to any instant of the last 35 days."""


def best(blueprint: Blueprint, key: str, declared: Stored) -> Blueprint:
    """With the most frequent backups of one store: what a choice of standbys may count on."""
    if not kept(declared):
        return blueprint
    return _kept_so(key, _schedules(declared, blueprint.backup.get(key, Backup()))[-1][1])(blueprint)


def schedule(blueprint: Blueprint, facts: Facts, name: str, key: str, declared: Stored) -> Choice | None:
    """The backups of one store; None where losing its data is losing nothing.

    `blueprint` has the standbys that were chosen: without any, a lost node or zone costs what a backup lacks.
    """
    if not kept(declared):
        return None
    data = [limit for limit in limits_of(facts, name, ("node", "zone"), data=True) if limit.measure == "rpo"]
    limits = (*limits_of(facts, name, ("corruption",), data=True), *data)
    old = blueprint.backup.get(key, Backup())
    rungs: list[Rung] = []
    for text, backup in _schedules(declared, old):
        change = _kept_so(key, backup)
        rungs.append(Rung(text, given(alone(change(blueprint), "stores", key), limits), change))
    return choose("backups", name, rungs, limits)


def _schedules(declared: Stored, old: Backup) -> Sequence[tuple[str, Backup | None]]:
    """What is critical is never without: a replica copies a mistake as faithfully as everything else."""
    kept_s = old.versions or 30 * day_s
    old = msgspec.structs.replace(old, point_in_time=None, full_every=None, versions=None)
    weekly = msgspec.structs.replace(old, full_every=7 * day_s, test_restore=old.test_restore or "monthly")
    daily = msgspec.structs.replace(weekly, full_every=day_s)
    found: list[tuple[str, Backup | None]] = [("a copy every week", weekly), ("a copy every day", daily)]
    aws = (declared.aws or "").lower()
    if aws.startswith("s3"):  # the version before is there at once, and costs what has changed
        found = [
            ("every version that was overwritten", msgspec.structs.replace(weekly, full_every=None, versions=kept_s))
        ]
        return [("none", None), *found] if declared.data == "eventual" else found
    if declared.data == "eventual":
        found.insert(0, ("none", None))
    if aws.startswith(_instants):
        any_instant = msgspec.structs.replace(daily, point_in_time=35 * day_s)
        found.append(("any instant of 35 days, and a copy every day", any_instant))
    else:
        found.append(("a copy every hour", msgspec.structs.replace(daily, full_every=3600.0)))
    return found


def _kept_so(key: str, backup: Backup | None) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        backups = {name: found for name, found in blueprint.backup.items() if name != key}
        if backup is not None:
            copies = blueprint.backup[key].copies if key in blueprint.backup else ()
            backups[key] = msgspec.structs.replace(backup, copies=copies)
        return msgspec.structs.replace(blueprint, backup=backups)

    return change
