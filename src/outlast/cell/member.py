"""The places of a cell, and the children that fill them, as the roster knows them."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.cell.child import Kind
from outlast.policy.heartbeat import Heartbeat, Pulse, begin
from outlast.policy.restart import Deaths

State = Literal["starting", "up", "silent", "leaving", "killed"]


class ChildView(msgspec.Struct, frozen=True):
    """One child as the live display shows it. `memory` is in bytes, `since` the monotonic time of its start."""

    id: str
    kind: Kind
    pool: str
    state: State
    pid: int
    runs: int
    memory: int
    since: float
    solo_for: str = ""


class Slot:
    """A place in the cell that a child is to fill: now, from `start_at` on, or for one run alone (`solo_for`)."""

    __slots__ = ("child", "deaths", "failed_starts", "key", "kind", "pool", "solo_for", "start_at")

    def __init__(self, key: str, kind: Kind, pool: str, start_at: float | None, solo_for: str = "") -> None:
        self.key = key
        self.kind: Kind = kind
        self.pool = pool
        self.solo_for = solo_for
        self.child = ""
        self.deaths = Deaths()
        self.failed_starts = 0
        self.start_at = start_at


class Member:
    """A child that was started and is not known to be gone."""

    __slots__ = (
        "beats", "killed_at", "leave_by", "loading", "memory", "pid", "pulse", "runs", "slot", "started_at", "state",
    )  # fmt: skip

    def __init__(self, slot: Slot, pid: int, now: float, beats: Heartbeat) -> None:
        self.slot = slot
        self.pid = pid
        self.started_at = now
        self.beats = beats
        self.state: State = "starting"
        self.loading = begin(now)
        """Its signs of life before it serves."""
        self.pulse: Pulse | None = None
        self.killed_at = 0.0
        self.leave_by: float | None = None
        self.runs = 0
        self.memory = 0
