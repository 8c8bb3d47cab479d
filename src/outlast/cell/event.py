"""What happens to a cell's processes, as its display, its dispatcher and a drill are told. Not durable."""

from __future__ import annotations

import msgspec

from outlast.cell.child import Kind


class ChildStarted(msgspec.Struct, frozen=True, tag=True):
    """A process was started; it does not serve yet."""

    id: str
    kind: Kind
    pool: str
    pid: int
    solo_for: str = ""


class ChildReady(msgspec.Struct, frozen=True, tag=True):
    """It serves, `after_s` seconds after its start. `address` is where a server listens."""

    id: str
    kind: Kind
    pool: str
    after_s: float
    solo_for: str = ""
    address: str = ""


class ChildSilent(msgspec.Struct, frozen=True, tag=True):
    """Its main loop has not gone round for `takeover_after_s`."""

    id: str
    kind: Kind
    pool: str


class ChildBack(msgspec.Struct, frozen=True, tag=True):
    """A silent one beats again."""

    id: str
    kind: Kind
    pool: str


class ChildLeaving(msgspec.Struct, frozen=True, tag=True):
    """It was asked to drain."""

    id: str
    kind: Kind
    pool: str


class ChildKilled(msgspec.Struct, frozen=True, tag=True):
    """The supervisor killed its process group, and why."""

    id: str
    kind: Kind
    pool: str
    why: str


class ChildDead(msgspec.Struct, frozen=True, tag=True):
    """It has exited with `status`, minus the number if by a signal. `restart_in_s` is None if none takes its place."""

    id: str
    kind: Kind
    pool: str
    status: int
    lived_s: float
    restart_in_s: float | None = None


class ChildSaid(msgspec.Struct, frozen=True, tag=True):
    """A line for people from a child; `level` is ``info``, ``warning`` or ``error``."""

    id: str
    level: str
    text: str


class CellFailed(msgspec.Struct, frozen=True, tag=True):
    """The cell cannot work before somebody changes something; it stops."""

    code: str
    message: str


class CellStopped(msgspec.Struct, frozen=True, tag=True):
    """No child is left."""


CellEvent = (
    ChildStarted
    | ChildReady
    | ChildSilent
    | ChildBack
    | ChildLeaving
    | ChildKilled
    | ChildDead
    | ChildSaid
    | CellFailed
    | CellStopped
)
