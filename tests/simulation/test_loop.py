from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import pytest

from outlast.simulation.loop import Node, SimLoop, Stuck, current_node
from outlast.simulation.seal import sealed

T = TypeVar("T")


def play(story: Callable[[SimLoop], Awaitable[T]], seed: int = 1) -> T:
    """What a story comes to that is played on a loop of its own."""
    with sealed():
        return _play(story, seed)


def _play(story: Callable[[SimLoop], Awaitable[T]], seed: int) -> T:
    loop = SimLoop(Random(seed))

    async def run() -> T:
        return await story(loop)

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def test_time_is_virtual_and_goes_from_timer_to_timer() -> None:
    async def story(loop: SimLoop) -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert play(story) == pytest.approx(86_400, abs=1)


def test_a_node_runs_its_callbacks_in_the_order_in_which_they_were_scheduled() -> None:
    node = Node("one", "worker")
    seen: list[int] = []

    async def story(loop: SimLoop) -> None:
        loop.adopt(node)
        for number in range(20):
            loop.call_soon(seen.append, number, context=node.context)
        await asyncio.sleep(1)

    play(story)
    assert seen == list(range(20))


def interleaving(seed: int) -> list[str]:
    seen: list[str] = []

    async def story(loop: SimLoop) -> None:
        for name in ("one", "two"):
            node = Node(name, "worker")
            loop.adopt(node)
            for _ in range(10):
                loop.call_soon(seen.append, name, context=node.context)
        await asyncio.sleep(1)

    play(story, seed)
    return seen


def test_the_seed_decides_between_nodes() -> None:
    assert interleaving(1) == interleaving(1)
    assert len({tuple(interleaving(seed)) for seed in range(10)}) > 5


def test_a_dead_node_runs_nothing_any_more_not_even_its_cleanup() -> None:
    node = Node("one", "worker")
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            seen.append("woke")
        finally:
            seen.append("cleaned up")

    async def story(loop: SimLoop) -> None:
        loop.adopt(node)
        node.kept.append(loop.create_task(work(), context=node.context))
        await asyncio.sleep(0.5)
        node.alive = False
        loop.bury()
        await asyncio.sleep(5)

    play(story)
    assert seen == []
    for task in node.kept:
        assert isinstance(task, asyncio.Task)
        assert not task.done()


def test_a_frozen_node_goes_on_where_it_was() -> None:
    node = Node("one", "worker")
    seen: list[float] = []

    async def work(loop: SimLoop) -> None:
        await asyncio.sleep(1)
        seen.append(loop.time())

    async def story(loop: SimLoop) -> None:
        loop.adopt(node)
        task = loop.create_task(work(loop), context=node.context)
        node.frozen = True
        await asyncio.sleep(10)
        assert seen == []
        node.frozen = False
        await task

    play(story)
    assert seen[0] >= 10


def test_tasks_know_whose_they_are() -> None:
    node = Node("one", "worker")

    async def whose() -> Node | None:
        await asyncio.sleep(0)
        return current_node.get()

    async def story(loop: SimLoop) -> tuple[Node | None, Node | None]:
        loop.adopt(node)
        return await loop.create_task(whose(), context=node.context), await whose()

    assert play(story) == (node, None)


def test_sets_of_tasks_are_walked_in_an_order_that_no_address_decides() -> None:
    async def story(loop: SimLoop) -> list[int]:
        tasks = [loop.create_task(asyncio.sleep(1)) for _ in range(50)]
        order = [tasks.index(task) for task in set(tasks)]
        await asyncio.gather(*tasks)
        return order

    assert play(story) == play(story)


def test_a_world_in_which_nothing_can_happen_any_more_says_so() -> None:
    async def story(loop: SimLoop) -> None:
        await loop.create_future()

    with pytest.raises(Stuck, match="nothing is left"):
        play(story)


def test_threads_run_inline_and_hand_their_errors_over() -> None:

    def fail() -> None:
        raise ValueError("no")

    async def story(loop: SimLoop) -> int:
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(lambda: 7)

    assert play(story) == 7
