"""What every RunIndex does. It is fed through the store beside it: entries change with appends."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.platform import Platform, Settings
from outlast.cell.sweep import Sweep
from outlast.journal.blob import Payload
from outlast.journal.index import HintPatch, RunEntry, RunIndex
from outlast.journal.record import make_append
from outlast.journal.stream import Applied, Conflicted, EventStore, Head
from outlast.kernel.error import NotFound
from tests.contracts.note import key, note


class IndexedStore(EventStore, RunIndex, Protocol):
    """A store whose appends change its index."""


async def patch(store: IndexedStore, run: str, **changes: Any) -> None:
    stream = key(store, run)
    head = await store.head(stream)
    outcome = await store.append(note(stream, head, f"a{head.seq}", hint=HintPatch(run, **changes)))
    assert isinstance(outcome, Applied)


class RunIndexContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[IndexedStore]:
        """The store in this directory, made if it is not there."""

    @pytest.fixture
    async def store(self, short_dir: Path) -> AsyncIterator[IndexedStore]:
        async with self.opened(short_dir) as store:
            yield store

    async def test_an_entry_holds_what_its_patches_said(self, store: IndexedStore) -> None:
        assert await store.entry("r") is None
        await patch(store, "r", agent="desk", pool="main", session="s", parent="p", created_at=5.0, updated_at=5.0)
        expected = RunEntry("r", agent="desk", pool="main", session="s", parent="p", created_at=5.0, updated_at=5.0)
        assert await store.entry("r") == expected
        await patch(store, "r", state="running", owner="w1", updated_at=6.0, reason="why: ' \" €")
        await patch(store, "r", wake_at=99.5)
        entry = await store.entry("r")
        assert entry == RunEntry("r", "desk", "main", "s", "p", "running", "w1", 99.5, 0, 0, "why: ' \" €", 5.0, 6.0)

    async def test_counters_keep_their_maximum(self, store: IndexedStore) -> None:
        for mail, seen in ((3, 1), (2, 2), (5, 0)):
            await patch(store, "r", mail=mail, seen=seen)
        entry = await store.entry("r")
        assert entry is not None
        assert (entry.mail, entry.seen) == (5, 2)

    async def test_a_conflicting_append_patches_nothing(self, store: IndexedStore) -> None:
        await patch(store, "r", owner="w1")
        stream = key(store, "r")
        outcome = await store.append(note(stream, Head(9, bytes(32)), "late", hint=HintPatch("r", owner="w2")))
        assert isinstance(outcome, Conflicted)
        entry = await store.entry("r")
        assert entry is not None
        assert entry.owner == "w1"

    async def test_due_are_the_ready_the_ripe_and_those_with_mail(self, store: IndexedStore) -> None:
        expected: list[tuple[float, str]] = []
        number = 0
        for state in ("ready", "trial", "running", "parked", "held", "quarantined", "completed", "failed"):
            for wake_at in (0.0, 50.0, 150.0):
                for mail, seen in ((0, 0), (2, 1), (2, 2)):
                    number += 1
                    run = f"r{number:03}"
                    updated = float((number * 37) % 101)
                    await patch(store, run, state=state, wake_at=wake_at, mail=mail, seen=seen, updated_at=updated)
                    entry = await store.entry(run)
                    assert entry is not None
                    if entry.due(100.0):
                        expected.append((updated, run))
        expected.sort()
        due = await store.due(100.0, 1000)
        assert [(entry.updated_at, entry.run) for entry in due] == expected
        assert all(entry.due(100.0) for entry in due)
        assert [entry.run for entry in await store.due(100.0, 4)] == [run for _, run in expected[:4]]

    async def test_due_can_be_asked_of_one_pool(self, store: IndexedStore) -> None:
        for index in range(9):
            await patch(store, f"r{index}", pool=f"p{index % 3}", updated_at=float(index))
        assert [entry.run for entry in await store.due(0.0, pool="p1")] == ["r1", "r4", "r7"]
        assert len(await store.due(0.0)) == 9
        assert await store.due(0.0, pool="none") == []

    async def test_the_next_wake_is_that_of_a_parked_run(self, store: IndexedStore) -> None:
        assert await store.next_wake(0.0) is None
        await patch(store, "a", state="parked", wake_at=30.0)
        await patch(store, "b", state="parked", wake_at=20.0)
        await patch(store, "c", state="running", wake_at=10.0)
        await patch(store, "d", state="parked", wake_at=0.0)
        assert await store.next_wake(0.0) == 20.0
        assert await store.next_wake(20.0) == 30.0
        assert await store.next_wake(30.0) is None

    async def test_running_runs_are_found_by_their_owner(self, store: IndexedStore) -> None:
        for index in range(6):
            await patch(store, f"r{index}", state="running", owner=f"w{index % 2}")
        await patch(store, "r0", state="completed")
        await patch(store, "r1", state="parked")
        assert [entry.run for entry in await store.owned("w0")] == ["r2", "r4"]
        assert [entry.run for entry in await store.owned()] == ["r2", "r3", "r4", "r5"]
        assert len(await store.owned(limit=2)) == 2
        assert await store.owned("nobody") == []

    async def test_the_list_is_newest_first_in_pages(self, store: IndexedStore) -> None:
        for index in range(12):
            await patch(store, f"r{index:02}", created_at=float(index // 2), agent=f"a{index % 3}")
        newest = [f"r{index:02}" for index in reversed(range(12))]
        assert [entry.run for entry in await store.list()] == newest
        first = await store.list(limit=5)
        assert [entry.run for entry in first] == newest[:5]
        second = await store.list(limit=5, before=first[-1].run)
        assert [entry.run for entry in second] == newest[5:10]
        assert [entry.run for entry in await store.list(before="r00")] == []
        with pytest.raises(NotFound):
            await store.list(before="missing")

    async def test_the_list_can_be_narrowed(self, store: IndexedStore) -> None:
        for index in range(12):
            state = "failed" if index % 4 == 0 else "completed"
            session = "s" if index < 6 else ""
            await patch(
                store, f"r{index:02}", created_at=float(index), agent=f"a{index % 3}", state=state, session=session
            )
        assert [entry.run for entry in await store.list(state="failed")] == ["r08", "r04", "r00"]
        assert [entry.run for entry in await store.list(agent="a1")] == ["r10", "r07", "r04", "r01"]
        assert [entry.run for entry in await store.list(session="s", limit=2)] == ["r05", "r04"]
        assert [entry.run for entry in await store.list(state="failed", agent="a0")] == ["r00"]
        assert [entry.run for entry in await store.list(agent="a1", before="r07", limit=1)] == ["r04"]
        assert await store.list(state="held") == []

    async def test_states_are_counted(self, store: IndexedStore) -> None:
        assert await store.counts() == {}
        for index, state in enumerate(("ready", "ready", "running", "held", "completed")):
            await patch(store, f"r{index}", state=state)
        await patch(store, "r0", state="running")
        assert await store.counts() == {"ready": 1, "running": 2, "held": 1, "completed": 1}

    async def test_hints_that_were_lost_for_good_are_written_again_by_a_sweep(self, store: IndexedStore) -> None:
        for number in range(5):
            stream = key(store, f"run_{number}")
            created = ev.RunCreated("desk", Payload(msgspec.Raw(b"{}")), "d", "main", 0.0, parent="p")
            events: list[ev.RunEvent] = [created, ev.RunFailed(ev.Failure("E", "why"))] if number == 3 else [created]
            outcome = await store.append(make_append(stream, await store.head(stream), f"a{number}", 7.0, events))
            assert isinstance(outcome, Applied)
        assert await store.due(0.0) == await store.list() == []
        said: list[str] = []
        settings = Settings(sweep_rest_s=0.0, sweep_page=2)
        platform = Platform(
            SystemClock(), OsRandomness(), store, store, MemoryStore(), MemoryBlobs(), MemoryExecutors(),
            settings=settings,
        )
        assert await Sweep(platform, said.append).walk() == 5
        assert {entry.run for entry in await store.due(0.0)} == {"run_0", "run_1", "run_2", "run_4"}
        failed = await store.entry("run_3")
        assert failed is not None
        assert (failed.state, failed.reason, failed.updated_at, failed.created_at) == ("failed", "E: why", 7.0, 7.0)
        assert all((entry.agent, entry.pool, entry.parent) == ("desk", "main", "p") for entry in await store.list())
        assert await Sweep(platform, said.append).walk() == 0
        assert not said
