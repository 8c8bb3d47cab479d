"""A run's entry as an item, and what a hint makes of it: a late one changes nothing that a newer one said."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.size import Item
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.lineage import Lineage

_LIFELONG = ("agent", "pool", "session", "parent", "created_at")
"""What is said once, when a run is made."""
_COUNTERS = ("mail", "seen")
_time_max = 1e15  # a number that every JSON reader holds

_decoder = msgspec.json.Decoder(RunEntry)


class Said(msgspec.Struct, frozen=True):
    """A patch and what it was written with: `seq` is the number of its append's last event if that was to the run's
    own stream, None if it was to another, such as its inbox.
    """

    patch: HintPatch
    seq: int | None
    sure: bool = True
    """Its append is durable. Before it is, another may be written in its place, and what that says counts."""

    def over(self, older: Said | None) -> Said:
        """Both in one, of the same stream; what this one says counts."""
        if older is None:
            return self
        if self.seq is not None and older.seq is not None and self.seq < older.seq:
            return older.over(self)
        names = [name for name in HintPatch.__struct_fields__ if getattr(self.patch, name) is not UNSET]
        changes: dict[str, Any] = {name: getattr(self.patch, name) for name in names}
        for name in _COUNTERS:
            before = getattr(older.patch, name)
            if name in changes and before is not UNSET:
                changes[name] = max(changes[name], before)
        return Said(msgspec.structs.replace(older.patch, **changes), self.seq, self.sure)


class Stored(msgspec.Struct, frozen=True):
    """An entry as it stands in the table. `at_seq`: the newest event of its run's stream that it tells of. `rev` counts
    its writes; 0: it is not there yet.
    """

    entry: RunEntry
    at_seq: int = 0
    rev: int = 0
    item: Item | None = None

    def after(self, said: Said) -> Stored:
        """This entry after what was said; the same if that says nothing new."""
        entry, at_seq = self.entry, self.at_seq
        if said.seq is None:
            late = said.patch.mail is not UNSET and said.patch.mail <= entry.mail and self.rev > 0
        else:
            late = said.seq < at_seq or (said.seq == at_seq and not said.sure)
            at_seq = max(at_seq, said.seq)
        patch = _of_late(entry, said.patch) if late else said.patch
        return msgspec.structs.replace(self, entry=entry.patched(patch), at_seq=at_seq)

    def written(self, lineage: Lineage) -> Item:
        """The item that replaces the one it was read from."""
        entry = _finite(self.entry)
        item = {
            **layout.hint(entry.run, lineage),
            **layout.indexed(entry, lineage),
            "entry": {"S": msgspec.json.encode(entry).decode()},
            "at_seq": {"N": str(self.at_seq)},
            "rev": {"N": str(self.rev + 1)},
        }
        if self.item is not None and "expires_at" in self.item:
            item["expires_at"] = dict(self.item["expires_at"])  # its run goes at that time, whoever still tells of it
        return item


def stored(run: str, item: Item | None) -> Stored:
    """What an item says; where there is none, or one that is not understood: an entry that nobody has written."""
    if item is None:
        return Stored(RunEntry(run))
    rev = int(item["rev"]["N"]) if "rev" in item else 0
    entry = entry_of(item)
    if entry is None or entry.run != run:
        return Stored(RunEntry(run), 0, rev, item)
    return Stored(entry, int(item["at_seq"]["N"]), rev, item)


def entry_of(item: Item) -> RunEntry | None:
    """The entry in an item; None if it is not understood: it is a hint, and will be written again."""
    try:
        return _decoder.decode(item["entry"]["S"])
    except (KeyError, ValueError, msgspec.MsgspecError):
        return None


def _of_late(entry: RunEntry, patch: HintPatch) -> HintPatch:
    """What still counts of a patch that comes after a newer one."""
    changes: dict[str, Any] = {name: getattr(patch, name) for name in _COUNTERS}
    for name in _LIFELONG:
        if not getattr(entry, name):
            changes[name] = getattr(patch, name)
    return HintPatch(patch.run, **changes)


def _finite(entry: RunEntry) -> RunEntry:
    """JSON has no infinity."""
    times = {name: getattr(entry, name) for name in ("wake_at", "created_at", "updated_at")}
    if all(abs(at) <= _time_max for at in times.values()):
        return entry
    return msgspec.structs.replace(entry, **{name: max(-_time_max, min(at, _time_max)) for name, at in times.items()})
