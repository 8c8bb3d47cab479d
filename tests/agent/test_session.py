"""The order of a session's turns."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.agent.run import Run
from outlast.agent.session import queue_turn, read_tail
from outlast.journal.stream import StoredRecord

app: App[None] = App("talk")


@app.agent
async def say(run: Run[None], text: str) -> str:
    return text


class CountingStore(MemoryStore):
    """Counts the records that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        found = await super().read(stream, after, limit)
        self.records += len(found)
        return found


class NobodyLives:
    """Executors of a host without workers."""

    async def confirm_dead(self, worker: str) -> bool:
        return True


def control_on(store: MemoryStore) -> Control:
    return Control(Platform(SystemClock(), OsRandomness(), store, store, store, MemoryBlobs(), NobodyLives()), app)


async def test_a_new_turn_does_not_look_through_a_long_conversation() -> None:
    store = CountingStore()
    control = control_on(store)
    for number in range(300):
        await control.start("say", f"{number}", session="s")
    store.records = 0
    await control.start("say", "one more", session="s")
    assert store.records < 40


async def test_a_turn_that_is_asked_for_again_keeps_its_place() -> None:
    store = CountingStore()
    control = control_on(store)
    first = await control.start("say", "first", session="s", key="k")
    for number in range(300):
        await control.start("say", f"{number}", session="s")
    assert await control.start("say", "first", session="s", key="k") == type(first)(first.run, created=False)
    turns = (await read_tail(control.platform, "s", 0)).turns
    assert len(turns) == 301
    assert turns[0].run == first.run


async def test_a_turn_that_a_worker_queued_meanwhile_is_not_queued_again() -> None:
    store = CountingStore()
    control = control_on(store)
    for number in range(50):
        await control.start("say", f"{number}", session="s")
    before = await store.head((await _streams(store))[0])
    queued = await queue_turn(control.platform, "s", "run_new", 0.0)
    for number in range(50):
        await control.start("say", f"{number}", session="s")
    assert (await queue_turn(control.platform, "s", "run_new", 0.0, since=before.seq)).seq == queued.seq
    assert len((await read_tail(control.platform, "s", 0)).turns) == 101


async def _streams(store: MemoryStore) -> Sequence[str]:
    return await store.streams("session")
