"""What stands where in the table. Keys are text, so that the console can be read.

::

    pk                              sk                    what
    run/ID@LINEAGE (any stream)     0000000000000001      a record: the number of its first event; never changed
    streams/KIND/SHARD              run/ID@LINEAGE        that a stream may be there: written before its first record
    hint/RUN@LINEAGE                hint                  the run's entry in the index: mutable, may be behind
    snapshot/STREAM                 0000000000000009      folded state up to that event; the last and the one before
    presence@LINEAGE                HOST                  a host's sign of life
    meta                            lineage/REGION        the lineage that this region writes
    expired@LINEAGE                 TIME/RUN              what our own sweeper is to remove, where the table cannot

Five global secondary indexes find hint items; their hash keys are spread over `shards`, because one key of an index
takes 1,000 writes a second. All but `open` hold keys only: what they find is read from the table itself. `open`, which
workers look into over and over, holds the entries, which may be behind: that costs them a claim that fails.

::

    index     hash key                range key                       holds
    open      LINEAGE/SHARD           due/…  timer/…  owner/…  rest/… runs that have not ended, by what they wait for
    state     LINEAGE/STATE/SHARD     created_at/RUN                  every run, by its state
    agent     LINEAGE/AGENT/SHARD     created_at/RUN                  every run, by its agent
    session   LINEAGE/SESSION         created_at/RUN                  runs of sessions
    newest    LINEAGE/SHARD           created_at/RUN                  every run

`shards` is part of the layout: a table keeps the number that it was made with.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from outlast.journal.index import ENDED, RunEntry
from outlast.journal.lineage import Lineage

shards = 4
"""Over how many hash keys an index and the list of streams are spread."""

INDEXES = {
    "open": ("open_in", "open_at"),
    "state": ("state_in", "newest_at"),
    "agent": ("agent_in", "newest_at"),
    "session": ("session_in", "newest_at"),
    "newest": ("newest_in", "newest_at"),
}
"""Each index, its hash key and its range key."""

WHOLE = frozenset({"open"})
"""Indexes that hold all of an item: workers look into them over and over."""

_key_chars_max = 256
_time_max = 9_999_999_999.0

Key = dict[str, dict[str, Any]]


def key(pk: str, sk: str) -> Key:
    """A primary key as the API has it."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def place(seq: int) -> str:
    """An event's number as a sort key; `seq_max` has 16 digits."""
    return f"{seq:016d}"


def moment(at: float) -> str:
    """A time as text that sorts: seconds with microseconds, nothing before 1970, nothing after 2286."""
    return f"{min(max(at, 0.0), _time_max):017.6f}"


def short(text: str) -> str:
    """`text`, or its hash where it is too long for a key."""
    return text if len(text) <= _key_chars_max else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def shard(text: str) -> int:
    """The shard that `text` belongs to, for ever."""
    return zlib.crc32(text.encode()) % shards


def directory(kind: str, number: int) -> str:
    """Where streams of a kind are listed, in one shard."""
    return f"streams/{kind}/{number}"


def hint(run: str, lineage: Lineage) -> Key:
    """The key of a run's entry."""
    return key(f"hint/{short(run)}@{lineage}", "hint")


def snapshots(stream: str) -> str:
    """Where a stream's snapshots stand."""
    return f"snapshot/{stream}"


def presence(lineage: Lineage) -> str:
    """Where the hosts of a store stand."""
    return f"presence@{lineage}"


def opened(entry: RunEntry) -> str:
    """What a run that has not ended waits for, as a range key: `due`, its time, its owner's death, or a person."""
    if entry.state in ("ready", "trial") or (entry.mail > entry.seen and entry.state != "running"):
        return f"due/{moment(entry.updated_at)}/{short(entry.run)}"
    if entry.state == "running":
        return f"owner/{short(entry.owner)}/{short(entry.run)}"
    if entry.state == "parked" and entry.wake_at > 0:
        return f"timer/{moment(entry.wake_at)}/{short(entry.run)}"
    return f"rest/{entry.state}/{short(entry.run)}"


def indexed(entry: RunEntry, lineage: Lineage) -> Key:
    """The attributes of a hint item by which the indexes find it."""
    run = short(entry.run)
    number = shard(run)
    found = {
        "newest_at": newest_at(entry),
        "newest_in": f"{lineage}/{number}",
        "state_in": f"{lineage}/{entry.state}/{number}",
        "agent_in": f"{lineage}/{short(entry.agent)}/{number}",
    }
    if entry.session:
        found["session_in"] = f"{lineage}/{short(entry.session)}"
    if entry.state not in ENDED:
        found["open_in"] = f"{lineage}/{number}"
        found["open_at"] = opened(entry)
    return {name: {"S": text} for name, text in found.items()}


def newest_at(entry: RunEntry) -> str:
    """The place of a run in the list of runs."""
    return f"{moment(entry.created_at)}/{short(entry.run)}"
