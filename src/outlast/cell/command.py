"""What the roster tells its supervisor to do."""

from __future__ import annotations

import msgspec

from outlast.cell import event as news
from outlast.cell.child import Kind, ToChild


class Start(msgspec.Struct, frozen=True):
    """Start a child for this slot and say so with `Roster.started` (or `Roster.refused`)."""

    slot: str
    kind: Kind
    pool: str
    solo_for: str = ""


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL this child's group."""

    child: str


class Say(msgspec.Struct, frozen=True):
    """Hand this word to this child."""

    child: str
    word: ToChild


Command = Start | Kill | Say | news.CellEvent
