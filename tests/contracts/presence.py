"""What every Presence does."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlast.cell.presence import HostBeat, Presence


class PresenceContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[Presence]:
        """The presence in this directory, made if it is not there."""

    @pytest.fixture
    async def presence(self, short_dir: Path) -> AsyncIterator[Presence]:
        async with self.opened(short_dir) as presence:
            yield presence

    async def test_nobody_is_there_at_first(self, presence: Presence) -> None:
        assert await presence.all() == []

    async def test_each_host_has_one_entry_its_last(self, presence: Presence) -> None:
        for count in range(1, 4):
            for host in ("host_b", "host_a"):
                await presence.beat(HostBeat(host, count, (f"worker_{count}", f"worker_{host}")))
        assert list(await presence.all()) == [
            HostBeat(host, 3, ("worker_3", f"worker_{host}")) for host in ("host_a", "host_b")
        ]

    async def test_a_host_without_workers_is_there(self, presence: Presence) -> None:
        await presence.beat(HostBeat("host_a", 1))
        assert list(await presence.all()) == [HostBeat("host_a", 1)]

    async def test_a_host_with_many_workers_is_there(self, presence: Presence) -> None:
        beat = HostBeat("host_a", 2**40, tuple(f"worker_{number:026}" for number in range(100)))
        await presence.beat(beat)
        assert list(await presence.all()) == [beat]

    async def test_a_host_says_how_large_it_is_and_that_it_drains(self, presence: Presence) -> None:
        drains = HostBeat("host_a", 1, ("worker_1",), draining=True)
        smaller = HostBeat("host_a", 2, ("worker_1",), 3)
        both = HostBeat("host_a", 3, (), 3, draining=True)
        for beat in (drains, smaller, both, HostBeat("host_a", 4, ("worker_1",))):
            await presence.beat(beat)
            assert list(await presence.all()) == [beat]

    async def test_who_has_left_is_gone_and_may_come_back(self, presence: Presence) -> None:
        await presence.beat(HostBeat("host_a", 1))
        await presence.beat(HostBeat("host_b", 1))
        await presence.leave("host_a")
        await presence.leave("host_a")
        await presence.leave("host_c")
        assert list(await presence.all()) == [HostBeat("host_b", 1)]
        await presence.beat(HostBeat("host_a", 2))
        assert len(await presence.all()) == 2

    async def test_many_hosts_beat_at_once(self, presence: Presence) -> None:
        beats = [HostBeat(f"host_{number:02}", number, (f"worker_{number}",)) for number in range(20)]
        await asyncio.gather(*map(presence.beat, beats))
        assert list(await presence.all()) == beats
