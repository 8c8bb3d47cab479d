"""One seed of a pool: calls while endpoints fail, a time to recover, a proof that all is well again, then the rules."""

from __future__ import annotations

import asyncio
import functools
from random import Random

from outlast.model.member import Target
from outlast.model.pool import Pool, PoolPolicy
from outlast.model.traffic import TrafficPolicy
from outlast.simulation.data import Faults
from outlast.simulation.loop import Node, SimLoop, Stuck
from outlast.simulation.mischief import Act, draw
from outlast.simulation.pool.book import Book, Phase, Terms
from outlast.simulation.pool.client import PoolClients
from outlast.simulation.pool.data import Calls, PoolWorkload, Server
from outlast.simulation.pool.mischief import PoolMischief
from outlast.simulation.pool.rule import check_pool
from outlast.simulation.pool.server import SimServer
from outlast.simulation.result import Result
from outlast.simulation.seal import sealed
from outlast.simulation.world import SimClock, SimRandomness, World

recover_s = 75.0
"""Virtual seconds after the last fault within which every endpoint must be in rotation again: a little more than the
longest ejection of one that was slow (`policy/outlier.py`)."""
ends_s = 600.0
"""Virtual seconds within which each phase must be over."""
_proof_calls = 40  # at least; and until every endpoint was asked
_proof_calls_max = 400
_REST = Calls(count=0, every_s=(0.1, 0.7), deadline_s=(20.0, 20.0))
_PROOF = Calls(count=0, every_s=(0.0, 0.1), deadline_s=(20.0, 20.0))


def run_pool(
    seed: int, workload: PoolWorkload, faults: Faults, schedule: list[Act] | None = None, *, trace: bool = False
) -> Result:
    """Run it; the same arguments give the same result, in every process. `schedule` replaces the one drawn."""
    random = Random(seed)
    drawn = draw(faults, Random(random.getrandbits(64)))
    with sealed():
        return _PoolSimulation(seed, random, workload, faults, drawn if schedule is None else schedule).run(trace)


class _PoolSimulation:
    def __init__(self, seed: int, random: Random, workload: PoolWorkload, faults: Faults, acts: list[Act]) -> None:
        self._loop = SimLoop(random)
        self._world = World(seed, self._loop, random)
        self._workload = workload
        self._faults = faults
        self._acts = acts
        self._node = Node("pool", "pool")
        self._world.nodes["pool"] = self._node
        self._loop.adopt(self._node)
        self._servers = [SimServer(self._world, one) for one in workload.servers]
        self._fallback = [SimServer(self._world, one) for one in workload.fallback]
        every = [*self._servers, *self._fallback]
        limits = {server.name: server.policy.limit for server in every}
        spare = frozenset(server.name for server in self._fallback)
        self._book = Book(Terms(limits, spare, workload.moves_max))
        self._clients = PoolClients(self._world, self._node, {server.name: server for server in every}, self._book)
        fallback = self._pool("small", workload.fallback, None) if workload.fallback else None
        self._pool_ = self._pool("big", workload.servers, fallback)
        self._mischief = PoolMischief(self._world, self._node, self._servers, self._fallback, self._book, acts)

    def _pool(self, name: str, servers: list[Server], fallback: Pool | None) -> Pool:
        targets = [Target(one.name, model=name, weight=one.weight, limit=one.limit) for one in servers]
        policy = PoolPolicy(TrafficPolicy(moves_max=self._workload.moves_max))
        clock, randomness = SimClock(self._world, self._node), SimRandomness(self._world)
        probe = self._clients.probe if self._workload.watch else None
        return Pool(name, targets, clock, randomness, fallback=fallback, policy=policy, probe=probe)

    def run(self, trace: bool) -> Result:
        book = self._book
        try:
            self._loop.run_until_complete(self._phases())
        except TimeoutError:
            book.errors.append(f"not everything was over {ends_s:.0f} virtual seconds after the faults")
        except Stuck as stuck:
            book.errors.append(str(stuck))
        book.errors += self._loop.errors
        book.charged = {member.name: member.input_tokens + member.output_tokens for member in self._pool_.everybody}
        problems = check_pool(book)
        world = self._world
        return Result(
            world.seed, self._workload.name, self._faults.name, problems, world.digest(), round(self._loop.time(), 3),
            self._loop.callbacks, 0, 0, {}, dict(world.bit), self._acts,
            list(world.trace) if trace or problems else [],
        )  # fmt: skip

    async def _phases(self) -> None:
        self._mischief.begin()
        async with asyncio.timeout(ends_s):
            coming = [
                self._world.start(None, self._come(calls, "faults", calls.count)) for calls in self._workload.calls
            ]
            await asyncio.sleep(self._faults.last_s)
            self._mischief.heal()
            await asyncio.gather(*coming)
        async with asyncio.timeout(ends_s):
            until = self._loop.time() + recover_s
            while self._loop.time() < until:
                await self._come(_REST, "rest", 4)
        async with asyncio.timeout(ends_s):
            waiting = {server.name for server in self._servers}
            first = len(self._book.sent)
            count = 0
            while count < _proof_calls or (waiting and count < _proof_calls_max):
                await self._come(_PROOF, "proof", 8)
                count += 8
                waiting -= {sent.endpoint for sent in self._book.sent[first:]}
        await self._world.start(self._node, self._pool_.close())

    async def _come(self, calls: Calls, phase: Phase, count: int) -> None:
        """So many clients come one after another; all of them are served when it returns."""
        arrive = functools.partial(self._clients.arrive, self._pool_, calls, phase)
        low_s, high_s = calls.every_s
        tasks: list[asyncio.Task[None]] = []
        for _ in range(count):
            await asyncio.sleep(low_s + self._world.random.random() * (high_s - low_s))
            tasks.append(arrive())
        await asyncio.gather(*tasks)
