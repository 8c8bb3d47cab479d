"""One seed: a safety phase with faults, a liveness phase without, then the checker."""

from __future__ import annotations

import asyncio
from random import Random
from typing import cast

from outlast.agent.control import Control
from outlast.agent.platform import Settings
from outlast.journal.index import ENDED
from outlast.model.endpoint import Endpoint
from outlast.simulation.aftermath import examine
from outlast.simulation.check import check
from outlast.simulation.client import Clients
from outlast.simulation.data import Faults, Workload
from outlast.simulation.disk import Disk, DiskFaults
from outlast.simulation.endpoint import SimEndpoint
from outlast.simulation.evidence import Facts
from outlast.simulation.host import SimCell
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import Node, SimLoop, Stuck
from outlast.simulation.mischief import Act, Mischief, draw
from outlast.simulation.pool.writer import PooledWriter
from outlast.simulation.program import make_app
from outlast.simulation.result import Result
from outlast.simulation.seal import sealed
from outlast.simulation.world import NetworkFaults, World

liveness_s = 900.0
"""Virtual seconds after the last fault within which everything must be over."""


def run_seed(
    seed: int, workload: Workload, faults: Faults, schedule: list[Act] | None = None, *, trace: bool = False
) -> Result:
    """Run it; the same arguments give the same result, in every process. `schedule` replaces the one drawn."""
    random = Random(seed)
    drawn = draw(faults, Random(random.getrandbits(64)))  # always, so that a given schedule meets the same chance
    acts = drawn if schedule is None else schedule
    with sealed():
        return _Simulation(seed, random, workload, faults, acts).run(trace)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]


class _Simulation:
    def __init__(self, seed: int, random: Random, workload: Workload, faults: Faults, acts: list[Act]) -> None:
        self._loop = SimLoop(random)
        self._world = World(seed, self._loop, random)
        self._ledger = Ledger()
        disk = Disk(self._world)
        self._app = make_app(self._world, self._ledger, disk)
        writer = PooledWriter(self._world, self._ledger) if workload.pooled else SimEndpoint(self._world, self._ledger)
        endpoints: dict[str, Endpoint] = {"writer": writer}
        settings = Settings(
            park_after_s=0.3, wait_poll_s=5.0, append_patience_s=8.0, unwind_s=0.5, sweep_every_s=40.0,
            sweep_rest_s=0.02, sweep_page=20,
        )  # fmt: skip
        self._cell = SimCell(
            self._world, self._app, disk, workers=2, settings=settings, endpoints=endpoints, far=workload.far
        )
        self._workload = workload
        self._faults = faults
        self._acts = acts
        self._mischief = Mischief(self._world, self._cell, faults, acts)
        node = Node("client", "client")
        self._world.nodes[node.name] = node
        self._loop.adopt(node)
        self._client = node
        self._healed_at = 0.0
        self._clients = Clients(self._world, Control(self._cell.platform(node), self._app), workload, self._ledger)

    def run(self, trace: bool) -> Result:
        problems: list[str] = []
        finished = False
        audits: list[str] = []
        try:
            self._loop.run_until_complete(self._phases())
            finished = True
            if any(act.kind.startswith("rot") for act in self._acts):
                audits = self._loop.run_until_complete(examine(self._cell.disk))
        except TimeoutError:
            entries = self._cell.disk.entries()
            found = ", ".join(f"{run} is {state}" for run, (state, _) in entries.items() if state not in ENDED)
            problems.append(f"ends: not everything was over {liveness_s:.0f} virtual seconds after the faults: {found}")
        except Stuck as stuck:
            problems.append(f"ends: {stuck}")
        except Exception as error:  # noqa: BLE001 # what a client cannot make sense of is a finding
            problems += [f"escape: clients: {type(leaf).__name__}: {leaf}" for leaf in _leaves(error)]
        streams = {
            stream: [(record.seq, record.count, record.body, record.hash) for record in records]
            for stream, records in self._cell.disk.contents().items()
        }
        disk = self._cell.disk
        problems += check(
            Facts(
                streams,
                disk.acknowledged,
                self._clients.asked,
                self._ledger,
                self._loop.errors,
                disk.durable_at,
                disk.entries(),
                disk.snapshots(),
                disk.blob_contents(),
                disk.blob_at,
                disk.anchors.heads(),
                audits,
                self._world.bit["hint dropped"] + self._world.bit["index lag"] > 0,
                self._clients.stops,
                self._healed_at,
                self._loop.time(),
                skewed=any(act.kind == "skew" for act in self._acts),
                calm=not self._acts and self._faults.network == NetworkFaults() and self._faults.disk == DiskFaults(),
                finished=finished,
            )
        )
        events = sum(count for records in streams.values() for _, count, _, _ in records)
        return Result(
            self._world.seed, self._workload.name, self._faults.name, problems, self._world.digest(),
            round(self._loop.time(), 3), self._loop.callbacks, events, self._world.crashes,
            dict(self._world.reached), dict(self._world.bit), self._acts,
            list(self._world.trace) if trace or problems else [],
        )  # fmt: skip

    async def _phases(self) -> None:
        self._cell.start_supervisor()
        self._mischief.begin()
        watch = self._world.start(None, self._restart_supervisors())
        asking = self._world.start(self._client, self._clients.ask_all())
        helping = self._world.start(self._client, self._help())
        if self._acts:
            await asyncio.wait([helping], timeout=self._faults.last_s)
        self._mischief.heal()
        self._healed_at = self._loop.time()
        async with asyncio.timeout(liveness_s):
            await asking
            await helping
        watch.cancel()

    async def _help(self) -> None:
        """Until all is over, and all that there is can be found."""
        await self._clients.operate()
        while self._cell.disk.unknown_runs():
            await asyncio.sleep(1.0)
            await self._clients.operate()

    async def _restart_supervisors(self) -> None:
        """Somebody types ``outlast up`` again."""
        while True:
            await asyncio.sleep(0.5 + self._world.random.random())
            if not self._world.living("supervisor"):
                self._cell.start_supervisor()
