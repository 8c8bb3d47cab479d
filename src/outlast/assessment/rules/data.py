"""Data: what is lost for good when it is deleted, falsified, or its place burns down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlast.assessment.arithmetic import time_text
from outlast.assessment.component import Component, holds_data
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.precaution import Backup
from outlast.assessment.rule import Rule, Weakness, about, change

_kept = ("critical", "eventual")


def _edit(component: Component, key: str, value: Any) -> tuple[Edit, ...]:
    """A key of the backup of a component; only stores have one in the file."""
    if component.place.path[:1] != ("stores",):
        return ()
    name = component.place.path[1:]
    return (Edit(("backup", *name, *(key.split(".") if key else ())), value),)


def _no_backup(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.data not in _kept or component.rebuilt_from or component.name in facts.system.backups:
            continue
        often = {"versions": "90d"} if component.kind == "blobs" else {"point_in_time": "35d", "full_every": "24h"}
        value = {**often, "copies": ["vault"], "lock": "30d", "test_restore": "monthly"}
        fix = Fix(
            text="back it up, keep a copy elsewhere that nobody can delete, and try to restore it",
            edits=_edit(component, "", value),
            buys="deleted or falsified data comes back",
            costs="storage of the copies, and the time of the trials",
        )
        reason = f"{component.name} holds {component.data} data and is not backed up: replicas copy a mistake at once"
        yield about(component, facts.radius(component.name, "corruption"), reason, fix)


def _backed_up(facts: Facts) -> Iterator[tuple[Component, Backup, float]]:
    for name, backup in facts.system.backups.items():
        component = facts.system.components.get(name)
        if component is not None and component.data in (*_kept, None):
            yield component, backup, facts.radius(name, "corruption")


def _never_restored(facts: Facts) -> Iterator[Weakness]:
    for component, backup, radius in _backed_up(facts):
        if backup.test_every_s is not None:
            continue
        fix = Fix(
            text="restore it on a schedule, verify what comes out, and write down how long it took",
            edits=_edit(component, "test_restore", "monthly"),
            buys="a restore that is known to work, and its time",
            costs="a restored copy for an hour a month",
        )
        yield _of(component, backup, 0.6 * radius, f"no restore of {component.name} is ever tried", fix)


def _of(component: Component, backup: Backup, radius: float, reason: str, fix: Fix) -> Weakness:
    return Weakness(
        subject=component.name, components=(component.name,), radius=radius, reason=reason, fix=fix, place=backup.place
    )


def _beside_the_original(facts: Facts) -> Iterator[Weakness]:
    for component, backup, radius in _backed_up(facts):
        if backup.copies:
            continue
        fix = Fix(
            text="copy it to another account, and to another region",
            edits=_edit(component, "copies", ["vault"]),
            buys="whoever deletes the original, or loses its region, does not lose the backup",
            costs="storage and transfer of the copies",
        )
        reason = f"backups of {component.name} lie beside the original: one account, one region, one mistake"
        yield _of(component, backup, 0.8 * radius, reason, fix)


def _deletable(facts: Facts) -> Iterator[Weakness]:
    for component, backup, radius in _backed_up(facts):
        if backup.lock_s is not None or "lock_s" in component.settings:
            continue
        fix = Fix(
            text="lock copies for as long as it takes to notice that something is wrong",
            edits=_edit(component, "lock", "30d"),
            buys="nobody, an attacker with the administrator's rights included, can delete them",
            costs="they cannot be deleted to save money either",
        )
        reason = f"whoever has the rights can delete the backups of {component.name} with the original"
        yield _of(component, backup, 0.6 * radius, reason, fix)


def _no_source(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.data != "rebuildable":
            continue
        if not component.rebuilt_from:
            fix = Fix(
                text="say what it is made from, or back it up",
                buys="its loss is a matter of hours, not of data",
                costs="nothing where the source is kept",
            )
            reason = f"{component.name} is said to be rebuildable, not from what"
            yield about(component, max(0.15, 0.8 * facts.radius(component.name)), reason, fix)
        elif component.rebuilt_from in facts.system.components:
            source = facts.system.components[component.rebuilt_from]
            if source.data in ("rebuildable", "disposable"):
                fix = Fix(
                    text=f"keep {source.name} as critical data, or make {component.name} from something that is kept",
                    buys="something to begin with",
                    costs="a backup",
                )
                reason = f"{component.name} is made from {source.name}, which is itself {source.data}"
                yield about(component, 0.5 * facts.weight_of(component.name), reason, fix)


def _rebuild_time(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.data != "rebuildable" or not component.rebuilt_from or component.rebuild_s is not None:
            continue
        fix = Fix(
            text="rebuild it once, and write down how long it took",
            edits=(change(component.place, "rebuild", "4h"),),
            buys="its recovery time is known",
            costs="an afternoon",
        )
        reason = f"nobody has said how long it takes to make {component.name} again"
        yield about(component, 0.15 * facts.weight_of(component.name), reason, fix)


def _no_data_class(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.data is not None or not holds_data(component) or component.place.path[:1] != ("stores",):
            continue
        if component.name in facts.system.backups:
            continue
        fix = Fix(
            text="say what its data is worth: critical, eventual, rebuildable or disposable",
            edits=(change(component.place, "data", "critical"),),
            buys="it gets the redundancy and the backups that it needs, and no more",
            costs="nothing",
        )
        reason = f"nothing says what the data in {component.name} is worth, so nobody knows whether it may be lost"
        yield about(component, 0.2 * max(facts.weight_of(component.name), 0.4), reason, fix)


def _one_step_to_nothing(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.data not in _kept or component.settings.get("delete_protection", True):
            continue
        fix = Fix(
            text="protect it against deletion",
            edits=(change(component.place, "delete_protection", True),),
            buys="a wrong command or template does not delete it",
            costs="one step more to remove it on purpose",
        )
        reason = f"one command, or a replaced resource in a template, deletes {component.name}"
        yield about(component, 0.8 * facts.radius(component.name, "corruption"), reason, fix)


def _spot_without_checkpoints(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind != "training" or not component.settings.get("spot"):
            continue
        if "checkpoint_every_s" in component.settings:
            continue
        fix = Fix(
            text="save what was learned every few minutes",
            edits=(change(component.place, "checkpoint_every", "5m"),),
            buys=f"an interruption costs {time_text(300)} of work",
            costs="writes of checkpoints",
        )
        reason = f"{component.name} runs on machines that may be taken away, and saves nothing until its end"
        yield about(component, 0.3, reason, fix)


RULES = (
    Rule(
        id="OL-DAT-001",
        title="data that matters has no backup",
        why="Replication protects against lost machines. Against a deletion or a bug only an older copy does.",
        trigger="corruption",
        pillar="REL09-BP01",
        lens="AGENTREL03",
        check=_no_backup,
    ),
    Rule(
        id="OL-DAT-002",
        title="restores are never tried",
        why="A backup that was never restored is a hope.",
        trigger="corruption",
        pillar="REL09-BP04",
        check=_never_restored,
    ),
    Rule(
        id="OL-DAT-003",
        title="backups beside the original",
        why="What destroys the original, its account or its region must not reach the copy.",
        trigger="corruption",
        pillar="REL09-BP02",
        check=_beside_the_original,
    ),
    Rule(
        id="OL-DAT-004",
        title="backups that can be deleted",
        why="Whoever breaks in deletes the backups first.",
        trigger="corruption",
        pillar="REL09-BP02",
        check=_deletable,
    ),
    Rule(
        id="OL-DAT-005",
        title="rebuildable, from nothing",
        why="What is to be made again needs something that is kept.",
        trigger="corruption",
        pillar="REL09-BP01",
        lens="AGENTREL03",
        check=_no_source,
    ),
    Rule(
        id="OL-DAT-006",
        title="the time to rebuild is not known",
        why="A recovery time that nobody has measured is longer than anybody thinks.",
        trigger="corruption",
        pillar="REL13-BP01",
        check=_rebuild_time,
    ),
    Rule(
        id="OL-DAT-007",
        title="nothing says what the data is worth",
        why="Redundancy, backups and consistency follow from what a loss would cost.",
        trigger="always",
        pillar="REL13-BP01",
        lens="AGENTREL03",
        check=_no_data_class,
    ),
    Rule(
        id="OL-DAT-008",
        title="deleted in one step",
        why="The most frequent disaster is a person with the right permissions.",
        trigger="corruption",
        pillar="REL08-BP05",
        check=_one_step_to_nothing,
    ),
    Rule(
        id="OL-DAT-009",
        title="interruptible training that saves nothing",
        why="Spot capacity is taken away at two minutes' notice.",
        trigger="process",
        pillar="REL11-BP03",
        lens="AGENTREL03",
        check=_spot_without_checkpoints,
    ),
)
