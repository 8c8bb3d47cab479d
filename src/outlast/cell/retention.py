"""Runs that ended long ago go away, and blobs that nothing names any more: on a journal that one process can shrink.

What goes is put on record first (`journal/removal.py`), then removed, each run at one moment. A crash in between, or
two hosts that do it at once, repeat what was begun and harm nothing. What stays: turns of sessions (what a turn changed
stands in its run's last event); a child run while its parent has not ended, which may still ask for its result; a run
that was continued while what it became has not ended as long ago; what has not wholly been published. The streams
decide, the index only says where to look. An idempotency key is forgotten with its run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.ending import last_of, last_recorded
from outlast.agent.mail import inbox_key
from outlast.agent.platform import Platform
from outlast.cell.chore import CollectionMark, Rounds, Tell
from outlast.journal.index import ENDED, RunEntry
from outlast.journal.publication import cursor_stream
from outlast.journal.reach import SweptBlobs, blob_age_s_min, named_in
from outlast.journal.removal import Ended, Shrinking, record_removals, removed_count_max, removed_events_max
from outlast.journal.stream import EventStore, Head
from outlast.kernel.error import StoreCorrupt
from outlast.kernel.unit import duration_text


class Shrinkable(EventStore, Shrinking, Protocol):
    """A journal that can be read, written, and shrunk: the one that holds what is stored, sealed or not."""


class RetentionBounds(msgspec.Struct, frozen=True):
    """How often it looks, in seconds; each pause is shortened or lengthened by up to a quarter."""

    first_after_s: float = 5.0
    """Before the first look: what runs for a moment keeps no house."""
    walk_every_s: float = 3600.0
    """Between two walks through the runs that have ended."""
    collect_every_s: float = 24 * 3600.0
    """Between two collections of blobs, whoever made the last one: each reads all streams."""
    page: int = 100
    """How many runs are looked at together; at most `removed_count_max` of them go in one transaction."""
    rest_s: float = 0.1
    """The pause after each such transaction: others want to write too."""


class Gone(msgspec.Struct, frozen=True):
    """What a walk did: runs that are removed, and such as are old enough and stay for another reason."""

    removed: int = 0
    kept: int = 0


class Retention:
    """Run `run` until it is cancelled. `platform` reads, its payloads opened; `store` and `blobs` hold what is stored.

    `published`: nothing goes that was not wholly published. `tell` gets lines for people.
    """

    def __init__(
        self, platform: Platform, store: Shrinkable, blobs: SweptBlobs, tell: Tell, keep_s: float, *,
        published: bool = False, bounds: RetentionBounds | None = None,
    ) -> None:  # fmt: skip
        """`keep_s`: how long a run stays after its end."""
        self._platform = platform
        self._store = store
        self._blobs = blobs
        self._tell = tell
        self._keep_s = keep_s
        self._published = published
        self._bounds = bounds or RetentionBounds()
        self._rounds = Rounds(platform.clock, platform.randomness, tell)
        self._collection = CollectionMark(platform.snapshots, store.lineage, platform.clock)

    async def run(self) -> None:
        """Until cancelled. What fails is said once, and done by the next round."""
        await self._rounds.run(self._round, self._bounds.first_after_s, self._bounds.walk_every_s)

    async def _round(self) -> None:
        await self.walk()
        await self.collect()

    async def walk(self) -> Gone:
        """Let every run go that ended long enough ago. Raises StoreError; what was begun the next walk begins again."""
        before = self._platform.clock.now() - self._keep_s
        removed = kept = 0
        place = (0.0, "")
        while page := await self._store.ended(before, place, self._bounds.page):
            place = (page[-1].created_at, page[-1].run)
            going = [each for entry in page if (each := await self._going(entry, before)) is not None]
            kept += len(page) - len(going)
            for batch in _batches(going):
                removed += await self._remove(batch)
                await self._platform.clock.sleep(self._bounds.rest_s)
        if removed:
            self._tell("info", f"{removed} runs that ended more than {duration_text(self._keep_s)} ago were removed")
        return Gone(removed, kept)

    async def collect(self) -> bool:
        """Remove blobs that nothing names, if that was not done lately; whether it was done now. Raises StoreError."""
        now = self._platform.clock.now()
        if now - await self._collection.at() < self._bounds.collect_every_s:
            return False
        swept = await self._blobs.sweep(await named_in(self._platform.store), blob_age_s_min)
        await self._collection.note(now)
        if swept.removed:
            self._tell("info", f"{swept.removed} of {swept.blobs} blobs were removed, nothing named them")
        return True

    # Inside

    async def _going(self, entry: RunEntry, before: float) -> Ended | None:
        """All of a run that may go; None if it stays."""
        try:
            if not await may_go(self._platform, entry, before, published=self._published):
                return None
        except StoreCorrupt as error:
            self._rounds.complain(f"run {entry.run} stays, it cannot be read: {error}")
            return None
        run, platform = entry.run, self._platform
        streams = [inbox_key(platform, run), run_key(platform, run)]
        heads = [(stream, head) for stream in streams if (head := await self._store.head(stream)).seq]
        return Ended(run, heads, [cursor_stream(streams[-1])]) if heads else None

    async def _remove(self, runs: Sequence[Ended]) -> int:
        platform = self._platform
        heads: list[tuple[str, Head]] = [one for run in runs for one in run.heads]
        why = f"ended more than {duration_text(self._keep_s)} ago"
        await record_removals(self._store, heads, platform.clock, platform.randomness, why)
        await self._store.remove(runs)
        left = [run for run in runs if (await self._store.head(run.heads[-1][0])).seq]
        return len(runs) - len(left)


async def may_go(platform: Platform, entry: RunEntry, before: float, *, published: bool = False) -> bool:
    """Whether nobody may need a run any more that ended before a time. `published`: it must have been, wholly.

    Raises StoreError.
    """
    last = await last_recorded(platform, entry.run)
    if last is None or not isinstance(last[0], ev.RunEnd) or last[1] > before or entry.session:
        return False
    if entry.parent and not _is_over(await platform.index.entry(entry.parent)):
        return False
    if isinstance(last[0], ev.RunContinued):
        final = await last_recorded(platform, await last_of(platform, entry.run))
        if final is not None and (not isinstance(final[0], ev.RunEnd) or final[1] > before):
            return False
    return not published or await is_published(platform, entry.run)


async def is_published(platform: Platform, run: str) -> bool:
    """Whether every event of a run was taken by who publishes. Raises StoreError."""
    stream = run_key(platform, run)
    cursor = await platform.snapshots.load(cursor_stream(stream))
    return cursor is not None and cursor.seq >= (await platform.store.head(stream)).seq


def _batches(runs: Sequence[Ended]) -> Iterator[list[Ended]]:
    """Runs in their order, as many together as may go in one transaction."""
    batch: list[Ended] = []
    events = 0
    for run in runs:
        size = sum(head.seq for _, head in run.heads)
        if batch and (len(batch) >= removed_count_max or events + size > removed_events_max):
            yield batch
            batch, events = [], 0
        batch.append(run)
        events += size
    if batch:
        yield batch


def _is_over(entry: RunEntry | None) -> bool:
    return entry is None or entry.state in ENDED
