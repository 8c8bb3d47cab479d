"""Claiming: whoever appends `claimed` at the head owns the run; what a dead owner sent last does not stop that."""

from __future__ import annotations

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.create import NewRun, create_run
from outlast.agent.platform import Platform
from outlast.cell.claim import Claimed, claim
from outlast.journal.blob import Payload
from outlast.journal.record import make_append
from outlast.journal.stream import Append, Applied, Outcome


class LateStore(MemoryStore):
    """What a writer sent before it died becomes durable just before the next append."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Append] = []

    async def append(self, append: Append) -> Outcome:
        while self.late:
            assert isinstance(await super().append(self.late.pop(0)), Applied)
        return await super().append(append)


class NobodyLives:
    """Executors of a host on which every earlier worker is dead."""

    async def confirm_dead(self, worker: str) -> bool:
        return True


def platform_on(store: MemoryStore) -> Platform:
    return Platform(SystemClock(), OsRandomness(), store, store, store, MemoryBlobs(), NobodyLives())


async def claimed_by(platform: Platform, worker: str) -> Claimed | None:
    return await claim(platform, "run_1", worker, False, {"agent"})


async def first_owner(platform: Platform) -> Claimed:
    """A run that `first` owns."""
    await create_run(platform, "run_1", NewRun("agent", "", b"{}", 4e9))
    owned = await claimed_by(platform, "first")
    assert owned is not None
    return owned


def follow(owned: Claimed, event: ev.RunEvent) -> Append:
    """What the owner, or a rival, would append next."""
    return make_append(owned.stream, owned.head, "late", 1.0, [event])


async def test_what_a_dead_owner_sent_last_is_taken_over_with_the_run() -> None:
    store = LateStore()
    platform = platform_on(store)
    owned = await first_owner(platform)
    done = ev.StepDone("1", "look", "tool", "0" * 16, 1, 1.0, Payload(msgspec.Raw(b"7")))
    store.late.append(follow(owned, done))
    taken = await claimed_by(platform, "second")
    assert taken is not None
    assert taken.history.claims == 2
    assert taken.history.outcomes["1"].event == done


async def test_a_rival_that_claimed_first_keeps_the_run() -> None:
    store = LateStore()
    platform = platform_on(store)
    owned = await first_owner(platform)
    store.late.append(follow(owned, ev.RunClaimed("rival", 2, 1, False)))
    assert await claimed_by(platform, "second") is None
