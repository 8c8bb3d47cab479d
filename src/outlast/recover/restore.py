"""Writes a journal as it was at an instant into an empty store, and holds what may have gone on since.

What a run did after the instant is not in the store, but in the world. So each run that had not ended is told, before
it is there at all, that events of it are lost: it is held, and driven on by a person it presumes of each `once` step
that it may have been done (`agent/loss.py`). Runs that are known to have begun later are told in advance: whoever
starts one again by its idempotency key finds it held. Only where the operator says that the old cell did nothing after
the last backup, and the backups know of nothing either, does a run simply go on.

The order is such that a restore which breaks off never leaves a run that goes on unheld: keys, inboxes, switches and
removals, then the letters, then the runs, then sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec

from outlast.agent import event as ev
from outlast.agent.loss import stop_agent
from outlast.agent.mail import post
from outlast.agent.platform import Platform
from outlast.journal.audit import KINDS, Journal, Report, audit
from outlast.journal.blob import BlobStore
from outlast.journal.copy import Copied, Copy
from outlast.journal.index import RunEntry
from outlast.journal.seal import Sealer
from outlast.journal.snapshot import Snapshot, SnapshotStore
from outlast.journal.stream import EventStore, StreamKey
from outlast.kernel.clock import Clock
from outlast.kernel.error import Conflict
from outlast.recover.cut import Cut, Unfinished

Phase = Literal["before", "letters", "runs", "done"]
"""before: keys, inboxes, switches and removals are copied · letters: runs are told what they lost · runs: these and
sessions are copied · done."""

_at_once = 64
"""Streams that are written at the same time."""
_before, _after = ("key", "inbox", "agent", "removal"), ("run", "session")


class Target(EventStore, SnapshotStore, Journal, Protocol):
    """What is written, and looked at afterwards."""


class Log(Protocol):
    """Remembers, outside the store, how far a restore has come."""

    @property
    def phase(self) -> Phase: ...

    def reach(self, phase: Phase) -> None:
        """Durable when this returns."""
        ...


class Told(msgspec.Struct, frozen=True):
    """Who was told of a loss: runs that are held when they are claimed, agents that were stopped."""

    held: tuple[str, ...]
    unborn: tuple[str, ...]
    """Of those, runs that had not begun at the instant."""
    stopped: tuple[str, ...]


class Restored(msgspec.Struct, frozen=True):
    """What was written, who was told, and what the audit of the store found."""

    copied: Copied
    told: Told
    report: Report


async def check_empty(target: EventStore) -> None:
    """Raises Conflict if there is any stream."""
    for kind in KINDS:
        found = await target.streams(kind, limit=1)
        if found:
            raise Conflict(f"the store is not empty, it holds {found[0]}: restore into an empty one")


def whom(cut: Cut, nothing_later: bool) -> list[Unfinished]:
    """The runs that are to be told of a loss."""
    return [run for run in cut.unfinished if run.went_on or (run.kept > 0 and not nothing_later)]


class Restore:
    """One restore. `target` and `to_blobs` hold what is stored."""

    def __init__(
        self,
        cut: Cut,
        from_blobs: BlobStore,
        target: Target,
        to_blobs: BlobStore,
        seen: Callable[[], AbstractAsyncContextManager[Platform]],
        log: Log,
        clock: Clock,
        name: str,
        *,
        nothing_later: bool = False,
        sealer: Sealer | None = None,
        progress: Callable[[Copied], None] = lambda copied: None,
    ) -> None:
        """`seen` opens the target as agents see it, once its keys are there. `name` names the restore in the letters:
        the same each time that it goes on, and no other's. `nothing_later`: the operator says that nothing was done
        after the newest backup.
        """
        self._cut = cut
        self._from_blobs = from_blobs
        self._target = target
        self._to_blobs = to_blobs
        self._seen = seen
        self._log = log
        self._name = name
        self._nothing_later = nothing_later
        self._sealer = sealer
        self._progress = progress
        self._clock = clock

    async def run(self) -> Restored:
        """Restore, or go on. Raises Conflict if the target holds another history, StoreCorrupt, StoreUnavailable."""
        log, copied = self._log, Copied()
        if log.phase == "before":
            copied = await self._copy(_before)
            log.reach("letters")
        runs = whom(self._cut, self._nothing_later)
        if log.phase == "letters":
            async with self._seen() as platform:
                for run in runs:
                    await self._tell(platform, run)
                for agent in self._cut.switched:
                    await stop_agent(
                        platform, agent,
                        f"restored ({self._name}); its switch was used later, which may have been to stop: look, then "
                        "resume it",
                    )  # fmt: skip
            log.reach("runs")
        if log.phase == "runs":
            copied = _sum(copied, await self._copy(_after))
            log.reach("done")
        unborn = tuple(run.run for run in runs if not run.kept)
        told = Told(tuple(run.run for run in runs), unborn, tuple(self._cut.switched))
        return Restored(copied, told, await audit(self._target, self._to_blobs, sealer=self._sealer))

    async def _copy(self, kinds: tuple[str, ...]) -> Copied:
        source = _Addressed(self._cut, self._target)
        return await Copy(
            source,
            self._target,
            self._from_blobs,
            self._to_blobs,
            self._clock,
            self._progress,
            self._sealer,
            kinds,
            _at_once,
        ).run()

    async def _tell(self, platform: Platform, run: Unfinished) -> None:
        about = f"lost:restored {self._name}:"
        if run.known > run.kept or not self._nothing_later:
            lost = ev.MailLost(f"{about}run:", "run", run.kept + 1, max(run.known, run.kept), cause="restore")
            await post(platform, run.run, lost, unborn=True)
        if run.inbox_known > run.inbox_kept:
            lost = ev.MailLost(f"{about}inbox:", "inbox", run.inbox_kept + 1, run.inbox_known, cause="restore")
            await post(platform, run.run, lost, unborn=True)


class _Addressed:
    """The cut, whose runs know of the letters that were written to them here."""

    def __init__(self, cut: Cut, target: EventStore) -> None:
        self._cut = cut
        self._target = target
        self.lineage = cut.lineage
        self.read = cut.read
        self.streams = cut.streams

    async def entry(self, run: str) -> RunEntry | None:
        entry = await self._cut.entry(run)
        if entry is None:
            return None
        inbox = await self._target.head(str(StreamKey("inbox", run, self.lineage)))
        return msgspec.structs.replace(entry, mail=inbox.seq)

    async def load(self, stream: str) -> Snapshot | None:
        """Backups hold no snapshots: what is restored is published from its beginning."""
        return None


def _sum(one: Copied, other: Copied) -> Copied:
    return Copied(
        one.streams + other.streams, one.records + other.records, one.there + other.there, one.events + other.events,
        one.blobs + other.blobs,
    )  # fmt: skip
