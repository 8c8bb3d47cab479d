"""A cluster of three shards loses a primary under load: no wrong answer, a bounded stampede, and how long it took.

The figures are printed: ``python -m pytest -s tests/adapters/valkey/test_failover.py``. The cluster's own failover
(`cluster-node-timeout`, 1 s here) is part of the time to recover.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.valkey.connection import Connection, ValkeyPlace
from outlast.adapters.valkey.shelf import ValkeyShelf
from outlast.model.shared import Shared
from outlast.model.shelf import ShelfUnavailable
from tests.adapters.valkey.server import PASSWORD, cluster, primaries

pytest.importorskip("valkey")

KEYS = 300
CLIENTS = 4
ASKERS = 6
ORIGIN_S = 0.01
WINDOW_S = 0.25
RECOVERED = 0.95


class Seen(msgspec.Struct):
    """One answer: when, what for, whether the origin was asked by this call, and how long it took."""

    at: float
    key: int
    loaded: bool
    took_s: float


class Load:
    """Clients that ask for the same keys, each with connections and a shared cache of its own."""

    def __init__(self, node: str) -> None:
        place = ValkeyPlace((node,), cluster=True, timeout_s=0.1)
        self.connections = [Connection(place, SystemClock(), lambda: PASSWORD) for _ in range(CLIENTS)]
        self.shelves = [ValkeyShelf(connection) for connection in self.connections]
        self.caches = [
            Shared("answers", shelf, "60s", version="1", type=str, clock=SystemClock(), randomness=OsRandomness())
            for shelf in self.shelves
        ]
        self.seen: list[Seen] = []
        self.wrong = 0
        self.calls: list[tuple[float, int]] = []

    async def connected(self) -> bool:
        """The first connections may take longer than any answer."""
        try:
            return all([await shelf.get(f"connect{n}") is None for shelf in self.shelves for n in range(20)])
        except ShelfUnavailable:
            return False

    async def origin(self, key: int) -> str:
        self.calls.append((time.monotonic(), key))
        await asyncio.sleep(ORIGIN_S)
        return f"the answer to {key}"

    async def ask(self, client: int, seed: int) -> None:
        dice = random.Random(seed)
        while True:
            key = dice.randrange(KEYS)
            loaded = False

            async def load(key: int = key) -> str:
                nonlocal loaded
                loaded = True
                return await self.origin(key)

            began = time.monotonic()
            answer = await self.caches[client].fetch(b"%d" % key, load)
            now = time.monotonic()
            self.wrong += answer != f"the answer to {key}"
            self.seen.append(Seen(now, key, loaded, now - began))
            await asyncio.sleep(0.004)

    def hit_rate(self, start: float, end: float, keys: set[int] | None = None) -> float:
        found = [each for each in self.seen if start <= each.at < end and (keys is None or each.key in keys)]
        return sum(not each.loaded for each in found) / max(1, len(found))


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_a_primary_killed_under_load_costs_time_and_no_wrong_answer(tmp_path: Path, until: Any) -> None:
    with cluster(tmp_path) as servers:
        load = Load(servers[0].node)
        await until(load.connected, 20, "all nodes have answered all clients")
        asking = [asyncio.ensure_future(load.ask(n % CLIENTS, n)) for n in range(CLIENTS * ASKERS)]
        try:
            await until(lambda: len({key for _, key in load.calls}) == KEYS, 30, "every key was asked for")
            warm = Counter(key for _, key in load.calls)
            late = sum(cache.counts.away + cache.counts.skipped for cache in load.caches)
            began = time.monotonic()
            await until(lambda: time.monotonic() > began + 2, 10)
            victim = primaries(servers)[1]
            part = load.shelves[0].part
            theirs = {n for n in range(KEYS) if part(load.caches[0]._key(b"%d" % n)) == victim.node}
            assert theirs
            victim.kill()
            killed = time.monotonic()

            def recovered() -> bool:
                now = time.monotonic()
                return now > killed + WINDOW_S and load.hit_rate(now - WINDOW_S, now, theirs) >= RECOVERED

            await until(lambda: load.hit_rate(killed, time.monotonic(), theirs) < 0.5, 30, "the loss is felt")
            await until(recovered, 60, "answers of the lost shard are shared again")
            back = time.monotonic()

            def steady() -> bool:
                now = time.monotonic()
                return now > back + 2 and load.hit_rate(now - 2, now) > RECOVERED

            await until(steady, 60, "answers of all shards are shared again")
        finally:
            for each in asking:
                each.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
            for connection in load.connections:
                await connection.close()
    others = set(range(KEYS)) - theirs
    end = load.seen[-1].at
    outage = Counter(key for at, key in load.calls if killed <= at < back)
    took = sorted(each.took_s for each in load.seen if killed <= each.at < back)
    most = max(outage.values())
    felt = f"its keys {load.hit_rate(killed, back, theirs):.1%}, the others {load.hit_rate(killed, back, others):.1%}"
    print(  # noqa: T201 (the figures that the module's docstring promises)
        f"\nfirst loads: {sum(warm.values())} origin calls for {KEYS} keys, {late} late answers"
        f"\nhit rate before {load.hit_rate(began, killed):.1%}, meanwhile {felt}, after {load.hit_rate(back, end):.1%}"
        f"\nkill to recovered {back - killed:.2f} s (its keys hit again at {RECOVERED:.0%})"
        f"\norigin calls meanwhile: {sum(outage.values())} for {len(outage)} keys, at most {most} for one"
        f"\nan answer meanwhile: p50 {_millis(took, 0.5)} ms, p99 {_millis(took, 0.99)} ms"
        f"\nwrong answers: {load.wrong} of {len(load.seen)}"
    )
    assert load.wrong == 0
    assert [each for each in ended if not isinstance(each, asyncio.CancelledError)] == []
    assert sum(warm.values()) <= KEYS + late, "whoever the shelf answers in time does not load what another one loads"


def _millis(took: list[float], share: float) -> str:
    return f"{took[min(len(took) - 1, int(len(took) * share))] * 1e3:.1f}"
