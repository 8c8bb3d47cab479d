"""What every journal does from which runs can be removed: all of a run at one moment, and nothing of its neighbours."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.publication import cursor_stream
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Applied, Conflicted, Head
from tests.contracts.note import applied, everything, fill, key, note, settle


async def a_run(store: Any, name: str, *, ended_at: float | None = 10.0, **more: Any) -> Ended:
    """Three records, mail, a snapshot and a cursor; and what is to be removed of it."""
    stream, inbox = key(store, name), key(store, name, "inbox")
    hint = HintPatch(name, agent="desk", created_at=1.0, updated_at=5.0, **more)
    head = applied(await store.append(note(stream, genesis(stream), "n", hint=hint)))
    head = applied(await store.append(note(stream, head, "more", "x", "y")))
    letter = applied(await store.append(note(inbox, genesis(inbox), "mail", hint=HintPatch(name, mail=1, seen=1))))
    if ended_at is not None:
        hint = HintPatch(name, state="completed", updated_at=ended_at)
        head = applied(await store.append(note(stream, head, "end", hint=hint)))
    await store.save(Snapshot(stream, head.seq, head.hash, 1, b"state"))
    await store.save(Snapshot(cursor_stream(stream), head.seq, head.hash, 1, b"cursor"))
    return Ended(name, [(inbox, letter), (stream, head)], [cursor_stream(stream)])


class ShrinkingContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[Any]:
        """The journal in this directory, made if it is not there."""

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[Any]:
        async with self.opened(short_dir) as store:
            yield store

    async def is_gone(self, store: Any, run: Ended) -> bool:
        found = [await store.entry(run.run)]
        for stream, _ in run.heads:
            found += [*await store.read(stream), await store.load(stream)]
            if (await store.head(stream)).seq:
                found.append(stream)
        found += [await store.load(stream) for stream in run.snapshots]
        found += [key for kind in ("run", "inbox") for key in await store.streams(kind) if key in dict(run.heads)]
        return not [one for one in found if one is not None]

    async def test_all_of_a_run_goes_and_all_of_its_neighbours_stays(self, store: Any) -> None:
        old, kept = await a_run(store, "old"), await a_run(store, "kept")
        before = {stream: await everything(store, stream) for stream, _ in kept.heads}
        await store.remove([old])
        assert await self.is_gone(store, old)
        assert {stream: await everything(store, stream) for stream, _ in kept.heads} == before
        assert await store.load(kept.snapshots[0]) is not None
        assert [entry.run for entry in await store.list()] == ["kept"]
        await store.remove([old])
        await store.remove([])
        assert not await self.is_gone(store, kept)

    async def test_a_run_that_does_not_end_where_it_is_said_stays_wholly_and_the_others_go(self, store: Any) -> None:
        old, moved = await a_run(store, "old"), await a_run(store, "moved")
        inbox, end = moved.heads[0]
        applied(await store.append(note(inbox, end, "late")))
        await store.remove([moved, old])
        assert await self.is_gone(store, old)
        assert [len(await everything(store, stream)) for stream, _ in moved.heads] == [2, 3]
        assert await store.entry("moved") is not None

    async def test_its_name_may_be_used_again_at_once(self, store: Any) -> None:
        old = await a_run(store, "old")
        await store.remove([old])
        stream, end = old.heads[-1]
        outcome = await store.append(note(stream, end, "zombie"))
        assert isinstance(outcome, Conflicted), "nothing is written behind what is gone"
        assert outcome.head == genesis(stream)
        again = await a_run(store, "old", ended_at=None)
        assert len(await everything(store, stream)) == 2
        assert again.heads[-1][1] != end
        await store.remove([old])
        assert len(await everything(store, stream)) == 2, "another run of its name is not the one that was to go"

    async def test_appends_at_the_same_moment_leave_no_stream_without_a_beginning(self, store: Any) -> None:
        runs = [await a_run(store, f"r{number}") for number in range(8)]

        async def write(run: Ended) -> None:
            stream, head = run.heads[0]
            for number in range(6):
                outcome = await settle(store, note(stream, head, f"late{number}"), 50)
                head = outcome.head if isinstance(outcome, Applied | Conflicted) else await store.head(stream)

        async def remove() -> None:
            for run in runs:
                await store.remove([run])

        await asyncio.gather(remove(), *map(write, runs))
        for run in runs:
            for stream, _ in run.heads:
                await everything(store, stream)  # verifies the chain from its beginning
        other = key(store, "other")
        await fill(store, other, 3)
        assert len(await everything(store, other)) == 3

    async def test_those_that_ended_are_found_in_pages_and_turns_of_sessions_are_not(self, store: Any) -> None:
        for number in range(7):
            await a_run(store, f"r{number}", ended_at=float(10 + number))
        await a_run(store, "going", ended_at=None)
        await a_run(store, "turn", session="s")
        found: list[str] = []
        place = (0.0, "")
        while page := await store.ended(14.0, place, 2):
            found += [entry.run for entry in page]
            place = (page[-1].created_at, page[-1].run)
        assert found == ["r0", "r1", "r2", "r3", "r4"]
        assert await store.ended(9.0) == []

    async def test_what_was_removed_is_still_gone_after_a_restart(self, short_dir: Path) -> None:
        async with self.opened(short_dir) as store:
            old, kept = await a_run(store, "old"), await a_run(store, "kept")
            await store.remove([old])
        async with self.opened(short_dir) as store:
            assert await self.is_gone(store, old)
            assert not await self.is_gone(store, kept)
            assert await store.head(old.heads[0][0]) == Head(0, genesis(old.heads[0][0]).hash)
