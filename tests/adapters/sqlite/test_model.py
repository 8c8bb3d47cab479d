"""The store on SQLite against the one in memory: any order of appends, saves, reads and restarts, the same answers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.store import MemoryStore
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.index import HintPatch
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Head
from tests.contracts.note import everything, key, note

T = TypeVar("T")
NAMES = st.sampled_from("abcd")
STATES = st.sampled_from(["ready", "trial", "running", "parked", "held", "quarantined", "completed", "failed"])


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="ol-", dir="/tmp"))
        self.loop = asyncio.new_event_loop()
        self.store = self.open()
        self.model = MemoryStore(self.store.lineage)
        self.sent: list[Append] = []
        self.number = 0

    def open(self) -> SqliteStore:
        return SqliteStore.open(self.directory / "journal.sqlite", OsRandomness(), durability="process")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def make(self, name: str, texts: list[str], patch: HintPatch | None, ahead: bool = False) -> Append:
        self.number += 1
        stream = key(self.model, name)
        head = self.run(self.model.head(stream))
        return note(stream, Head(head.seq + 1, head.hash) if ahead else head, f"n{self.number}", *texts, hint=patch)

    async def both(self, appends: list[Append]) -> None:
        outcomes = await asyncio.gather(*map(self.store.append, appends))
        expected = [await self.model.append(append) for append in appends]
        assert outcomes == expected

    @rule(
        names=st.lists(NAMES, min_size=1, max_size=6),
        texts=st.lists(st.text(max_size=8), min_size=1, max_size=3),
        ahead=st.booleans(),
    )
    def append(self, names: list[str], texts: list[str], ahead: bool) -> None:
        appends = [self.make(name, texts, None, ahead and index == 0) for index, name in enumerate(names)]
        self.sent += appends
        self.run(self.both(appends))

    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        if self.sent:
            self.run(self.both([data.draw(st.sampled_from(self.sent))]))

    @rule(
        name=NAMES,
        state=STATES,
        owner=st.sampled_from(["", "w1", "w2"]),
        pool=st.sampled_from(["", "p"]),
        session=st.sampled_from(["", "s"]),
        times=st.tuples(*[st.integers(0, 5).map(float)] * 3),
        mail=st.integers(0, 3),
        seen=st.integers(0, 3),
    )
    def patch(
        self,
        name: str,
        state: Any,
        owner: str,
        pool: str,
        session: str,
        times: tuple[float, float, float],
        mail: int,
        seen: int,
    ) -> None:
        patch = HintPatch(
            name,
            state=state,
            owner=owner,
            pool=pool,
            session=session,
            wake_at=times[0],
            created_at=times[1],
            updated_at=times[2],
            mail=mail,
            seen=seen,
        )
        self.run(self.both([self.make(name, ["patched"], patch)]))

    @rule(name=NAMES, seq=st.integers(0, 6), body=st.binary(max_size=20))
    def save(self, name: str, seq: int, body: bytes) -> None:
        snapshot = Snapshot(key(self.model, name), seq, bytes(32), 1, body)
        self.run(self.store.save(snapshot))
        self.run(self.model.save(snapshot))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def they_agree(self) -> None:
        self.run(self.agree())

    async def agree(self) -> None:
        store, model = self.store, self.model
        assert await store.streams("run") == await model.streams("run")
        for name in "abcd":
            stream = key(model, name)
            assert await store.head(stream) == await model.head(stream)
            assert await everything(store, stream) == await everything(model, stream)
            assert await store.load(stream) == await model.load(stream)
            assert await store.entry(name) == await model.entry(name)
        assert await store.counts() == await model.counts()
        assert await store.list() == await model.list()
        assert await store.list(session="s", limit=2) == await model.list(session="s", limit=2)
        for now in (0.0, 2.0, 9.0):
            assert await store.due(now) == await model.due(now)
            assert await store.due(now, 2, "p") == await model.due(now, 2, "p")
            assert await store.next_wake(now) == await model.next_wake(now)
        assert await store.owned() == await model.owned()
        assert await store.owned("w1") == await model.owned("w1")

    def teardown(self) -> None:
        self.store.close()
        self.loop.close()
        shutil.rmtree(self.directory)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
