"""When the next backup, test and tidying are due. Pure: it is told `now`.

Source: AWS Backup developer guide, "Backup plans" (schedule, retention) and "Restore testing".
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.blueprint.backup import Backup as Wanted
from outlast.blueprint.backup import Calendar

Task = Literal["full", "increment", "test", "prune"]

increment_every_s = 300.0
"""The time between two backups where any instant shall be restorable (`point_in_time`): 5 minutes. What was written in
between is lost with the machine.
"""
prune_every_s = 86400.0
again_s = 60.0
"""How long after a failure the same is tried again."""
_DAYS: dict[Calendar, float] = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 91, "yearly": 365}
_late = 2.0


class Plan(msgspec.Struct, frozen=True):
    """How often; None: never by itself. All in seconds."""

    full_every_s: float | None = None
    increment_every_s: float | None = None
    test_every_s: float | None = None

    @classmethod
    def of(cls, said: Wanted) -> Plan:
        """What a blueprint asks for."""
        return cls(
            said.full_every,
            increment_every_s if said.point_in_time is not None else None,
            _DAYS[said.test_restore] * 86400.0 if said.test_restore is not None else None,
        )

    @property
    def backup_every_s(self) -> float | None:
        """How old the newest backup may become."""
        return min((one for one in (self.full_every_s, self.increment_every_s) if one is not None), default=None)


class Done(msgspec.Struct):
    """When each was last done, seconds since 1970; 0: never. `failed_at` is by task; a success clears it."""

    full_at: float = 0.0
    newest_at: float = 0.0
    tested_at: float = 0.0
    pruned_at: float = 0.0
    failed_at: dict[Task, float] = {}


def due(plan: Plan, done: Done, now: float) -> Task | None:
    """What is to be done now, the most urgent first; None: nothing."""
    for task in ("full", "increment", "test", "prune"):
        if now - done.failed_at.get(task, -again_s) >= again_s and _is_due(task, plan, done, now):
            return task
    return None


def _is_due(task: Task, plan: Plan, done: Done, now: float) -> bool:
    match task:
        case "full":
            return plan.full_every_s is not None and now - done.full_at >= plan.full_every_s
        case "increment":
            return plan.increment_every_s is not None and now - done.newest_at >= plan.increment_every_s
        case "test":
            return plan.test_every_s is not None and done.newest_at > 0 and now - done.tested_at >= plan.test_every_s
        case "prune":
            return plan.backup_every_s is not None and done.newest_at > 0 and now - done.pruned_at >= prune_every_s


def lateness(plan: Plan, done: Done, now: float) -> list[str]:
    """What should have been done by now, in words; a little late is not late."""
    found: list[str] = []
    for what, every_s, at in (
        ("backup", plan.backup_every_s, done.newest_at),
        ("test", plan.test_every_s, done.tested_at),
    ):
        if every_s is not None and now - at > every_s * _late:
            found.append(f"the last {what} was {(now - at) / 3600:.1f} h ago" if at else f"there was no {what} yet")
    return found
