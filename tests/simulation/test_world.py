from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from outlast.simulation.loop import Node, SimLoop
from outlast.simulation.seal import sealed
from outlast.simulation.world import AtPoint, NetworkFaults, SimClock, SimPoints, World


class Seen(NamedTuple):
    """What is kept of a world whose nodes are gone."""

    crashes: int
    bit: Counter[str]
    reached: Counter[str]
    digest: str


def play(story: Callable[[World], Awaitable[None]], seed: int = 1) -> Seen:
    with sealed():
        return _play(story, seed)


def _play(story: Callable[[World], Awaitable[None]], seed: int) -> Seen:
    random = Random(seed)
    loop = SimLoop(random)
    world = World(seed, loop, random)

    async def run() -> None:
        await story(world)

    loop.run_until_complete(run())
    loop.close()
    return Seen(world.crashes, world.bit, world.reached, world.digest())


async def forever() -> None:
    await asyncio.sleep(1e6)


def boot(world: World, name: str = "worker-1", died: Callable[[], None] = lambda: None) -> Node:
    return world.boot(name, "worker", forever(), died)


def arrivals(faults: NetworkFaults, messages: int = 400) -> list[int]:
    got: list[int] = []

    async def story(world: World) -> None:
        node = boot(world)
        world.network = faults
        for number in range(messages):
            world.send("client", node, lambda number=number: got.append(number))
        await asyncio.sleep(100)

    play(story)
    return got


def test_a_crash_is_told_once_and_ends_everything() -> None:
    deaths: list[str] = []

    async def story(world: World) -> None:
        node = boot(world, died=lambda: deaths.append("died"))
        world.crash(node, "fault")
        world.crash(node, "fault")
        world.send("client", node, lambda: deaths.append("delivered"))
        await asyncio.sleep(10)

    seen = play(story)
    assert deaths == ["died"]
    assert (seen.crashes, seen.bit["crash worker"]) == (1, 1)


def test_messages_arrive_once_if_nothing_is_wrong() -> None:
    assert sorted(arrivals(NetworkFaults())) == list(range(400))


def test_messages_get_lost_doubled_late_and_out_of_order() -> None:
    lost = arrivals(NetworkFaults(loss=0.5))
    assert 100 < len(lost) < 300
    assert len(arrivals(NetworkFaults(duplicate=0.5))) > 500
    late = arrivals(NetworkFaults(slow_chance=0.5, slow_s=5.0))
    assert sorted(late) == list(range(400))
    assert late != list(range(400))


def test_a_cut_lets_nothing_pass_in_its_direction() -> None:
    got: list[str] = []

    async def story(world: World) -> None:
        one, other = boot(world, "worker-1"), world.boot("writer-1", "writer", forever(), lambda: None)
        world.cut.add(("worker", "writer"))
        world.send("worker-1", other, lambda: got.append("there"))
        world.send("writer-1", one, lambda: got.append("back"))
        await asyncio.sleep(1)
        world.cut.clear()
        world.send("worker-1", other, lambda: got.append("again"))
        await asyncio.sleep(1)

    assert play(story).bit["message cut off"] == 1
    assert got == ["back", "again"]


def test_a_point_bites_the_nth_time_in_a_node_of_its_kind() -> None:
    alive: list[bool] = []

    async def story(world: World) -> None:
        node = boot(world)
        world.at_points.append(AtPoint("intent.after", "crash", after=2))
        points = SimPoints(world, node)
        for _ in range(4):
            points.reach("intent.before")
            points.reach("intent.after")
            alive.append(node.alive)

    seen = play(story)
    assert alive == [True, True, False, False]
    assert seen.bit["crash at intent.after"] == 1
    assert seen.reached["intent.after"] == 4


def test_a_frozen_node_acts_when_it_is_thawed() -> None:
    async def story(world: World) -> None:
        node = boot(world)
        world.freeze(node, 5.0)
        await node.acting()
        assert world.loop.time() >= 5.0

    play(story)


def test_clocks_of_nodes_differ_and_monotonic_time_does_not() -> None:
    async def story(world: World) -> None:
        one, other = boot(world, "worker-1"), boot(world, "worker-2")
        world.skew["worker-2"] = -3.0
        assert SimClock(world, one).now() - SimClock(world, other).now() == 3.0
        assert SimClock(world, one).monotonic() == SimClock(world, other).monotonic()

    play(story)


def test_the_true_time_of_what_a_wrong_clock_showed_is_known() -> None:
    async def story(world: World) -> None:
        node = boot(world)
        clock = SimClock(world, node)
        shown: list[tuple[float, float]] = []
        for off in (0.0, -7.0, 4.0, 0.0):
            world.set_skew(node.name, off)
            await asyncio.sleep(1.0)
            shown.append((world.loop.time(), clock.now()))
        assert all(abs(world.true_time(node.name, wall) - at) < 1e-3 for at, wall in shown)

    play(story)


def test_the_digest_covers_everything_that_was_noted() -> None:
    async def noted(world: World, last: str) -> None:
        for number in range(10_000):
            world.note(f"line {number}")
        world.note(last)

    digests = [play(lambda world, last=last: noted(world, last)).digest for last in ("one", "one", "two")]
    assert digests[0] == digests[1] != digests[2]
