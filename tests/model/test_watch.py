"""Active checks: in virtual time, with members that are killed, frozen and come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.member import Member, Target
from outlast.model.pool import Ask, Pool
from outlast.policy.health import Layer
from tests.model.virtual import SeededRandomness, VirtualClock, in_virtual_time


class World:
    """Members by name: ``well``, ``killed`` (refuses), ``frozen`` (says nothing), ``hung`` (answers checks only)."""

    def __init__(self, **state: str) -> None:
        self.state = state
        self.checks: list[tuple[str, Layer]] = []
        self.asked: list[str] = []

    async def probe(self, member: Member, layer: Layer, timeout_s: float) -> None:
        self.checks.append((member.name, layer))
        state = self.state[member.name]
        if state == "killed":
            raise EndpointUnavailable("connection refused")
        if state == "frozen" and layer != "connection":
            await asyncio.sleep(timeout_s * 2)

    async def send(self, attempt: Attempt) -> str:
        name = attempt.member.name
        self.asked.append(name)
        if self.state[name] == "killed":
            raise EndpointUnavailable("connection refused")
        while self.state[name] in ("frozen", "hung"):  # noqa: ASYNC110 # whoever tests sets the state at will
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.02)
        attempt.commit()
        return name

    def pool(self, **more: Any) -> Pool:
        targets = [Target(name) for name in self.state]
        return Pool("writer", targets, VirtualClock(), SeededRandomness(), probe=self.probe, **more)


async def busy(world: World, pool: Pool, for_s: float, callers: int = 4) -> int:
    """Errors that so many callers see in so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + for_s
    errors = 0

    async def caller() -> None:
        nonlocal errors
        while loop.time() < end:
            try:
                await pool.call(world.send, Ask(20.0))
            except EndpointUnavailable:
                errors += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return errors


@pytest.mark.parametrize("state", ["killed", "frozen"])
@pytest.mark.parametrize("out_s", [1.0, 8.0, 40.0])
def test_a_member_is_out_while_it_is_dead_and_back_within_3_s(state: str, out_s: float) -> None:
    async def main() -> None:
        world = World(a="well", b="well")
        pool = world.pool()
        assert await busy(world, pool, 3.0) == 0
        world.state["a"] = state
        assert await busy(world, pool, out_s) == 0
        if out_s > 5.0:
            view = pool.view().members[0]
            assert view.state == "sick"
            assert view.layers["connection" if state == "killed" else "application"] == "down"
            asked = world.asked.count("a")
            assert await busy(world, pool, 10.0) == 0
            assert world.asked.count("a") == asked  # checks find out, not requests
        world.state["a"] = "well"
        await busy(world, pool, 3.0)
        answered = pool.members[0].answered
        assert await busy(world, pool, 1.0) == 0
        assert pool.members[0].answered > answered
        await pool.close()

    in_virtual_time(main)


def test_a_process_that_answers_checks_while_its_model_hangs_is_not_let_in_by_them() -> None:
    async def main() -> None:
        world = World(a="well", b="well")
        pool = world.pool()
        await busy(world, pool, 3.0)
        world.state["a"] = "hung"
        assert await busy(world, pool, 30.0) == 0
        asked = world.asked.count("a")
        assert await busy(world, pool, 30.0) == 0
        assert world.asked.count("a") - asked < 300  # of some 6,000
        world.state["a"] = "well"
        await asyncio.sleep(40.0)
        await pool.close()

    in_virtual_time(main)


def test_one_slow_request_on_a_quiet_day_has_its_member_checked_at_once() -> None:
    async def main() -> None:
        world = World(a="well", b="well")
        pool = world.pool()
        for _ in range(20):
            await pool.call(world.send, Ask(20.0))
            await asyncio.sleep(0.5)
        world.state["a"] = "frozen"
        for _ in range(10):
            began = asyncio.get_running_loop().time()
            assert (await pool.call(world.send, Ask(20.0))).value == "b"
            assert asyncio.get_running_loop().time() - began < 0.5  # a hedge
            await asyncio.sleep(2.5)
        assert pool.view().members[0].state == "sick"
        assert world.asked.count("a") <= 10 + 3
        world.state["a"] = "well"
        await pool.close()
        await asyncio.sleep(1.0)

    in_virtual_time(main)


def test_who_answers_requests_is_not_checked() -> None:
    async def main() -> None:
        world = World(a="well", b="well")
        pool = world.pool()
        await busy(world, pool, 2.0)
        checks = len(world.checks)
        await busy(world, pool, 30.0)
        assert len(world.checks) <= checks + 2
        await asyncio.sleep(20.0)
        assert 4 <= len(world.checks) - checks <= 30  # nobody asks: they are checked now and then
        await pool.close()

    in_virtual_time(main)


def test_when_all_fail_their_checks_requests_are_sent_all_the_same() -> None:
    async def main() -> None:
        world = World(a="well", b="well")

        async def wrong(member: Member, layer: Layer, timeout_s: float) -> None:
            raise EndpointUnavailable("this check is wrong")

        pool = Pool("writer", [Target("a"), Target("b")], VirtualClock(), SeededRandomness(), probe=wrong)
        pool.start()
        await asyncio.sleep(5.0)
        assert all(member.sick for member in pool.members)
        for _ in range(20):
            await pool.call(world.send, Ask(5.0))
            await asyncio.sleep(0.3)
        await pool.close()

    in_virtual_time(main)
