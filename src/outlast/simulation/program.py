"""Agents as data: a program is a list of operations, run by one interpreter agent on the public interface.

=====================================  =================================================================================
``["pure"]``                           a pure step
``["shaky", n]``                       an idempotent step that fails `n` times before it succeeds
``["once"]``                           books in the ledger; `verify` looks there
``["once_late"]``                      the booking is sent and lands later, within the declared settle time
``["once_blind"]``                     books; has no `verify`: in doubt, a person decides
``["once_refuse", n]``                 raises NotDone `n` times, then books
``["sleep", seconds]``                 a durable timer
``["signal", name, seconds]``          waits for a signal, at most so long; the result is its payload or null
``["gather", [program, ...]]``         branches
``["map", count, limit, program]``     the same branch several times
``["child", program]``                 a child run
``["model"]``                          asks the model
``["abandon", seconds]``               gives up a pure step that takes longer
``["race"]``                           two pure steps raced with asyncio.wait: the result is the winner's name
``["turn"]``                           counts the session's turns; the result is the count
``["poison"]``                         kills its process, always
``["fail"]``                           raises
``["continue", n]``                    continues as new with `n` less, until 0
=====================================  =================================================================================

Every operation has a subject, ``run-name/path``, under which the checker expects its effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done, Verdict
from outlast.kernel.error import NotDone
from outlast.policy.budget import Budget
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import Node, current_node
from outlast.simulation.world import World

Operation = list[Any]
settle_s = 2.0
late_s_max = 1.5
"""A late booking lands within this time, less than `settle_s`."""


def make_app(world: World, ledger: Ledger) -> App[None]:  # noqa: C901 # one tool after another
    """The application whose one agent runs programs."""
    app: App[None] = App("simulated")
    tries: dict[str, int] = {}

    def node() -> Node:
        found = current_node.get()
        assert found is not None
        return found

    async def work(low_s: float = 0.001, high_s: float = 0.05) -> None:
        await world.pause(node(), low_s, high_s)

    @app.tool(effect="pure", timeout="20s", retry=50)
    async def pure(subject: str) -> str:
        await work()
        return subject

    @app.tool(effect="pure", timeout="60s")
    async def slow(subject: str, seconds: float) -> str:
        await world.pause(node(), seconds, seconds)
        return subject

    @app.tool(effect="idempotent", timeout="20s", retry=50)
    async def shaky(subject: str, failures: int) -> str:
        await work()
        tries[subject] = tries.get(subject, 0) + 1
        if tries[subject] <= failures:
            raise ConnectionError(f"{subject} is shaky")
        return subject

    @app.tool(effect="once", timeout="20s", retry=50)
    async def once(ctx: Context[None], subject: str) -> str:
        await work()
        ledger.book(world.loop.time(), node().name, ctx.key, subject)
        await work()
        return subject

    @once.verify
    async def once_happened(ctx: Context[None], subject: str) -> Verdict[str]:
        await work()
        return Done(subject) if ledger.has(ctx.key) else NotDone

    @app.tool(effect="once", timeout="20s", retry=50, settle=settle_s)
    async def once_late(ctx: Context[None], subject: str) -> str:
        await node().acting()
        delay = world.random.random() * late_s_max
        landed = world.loop.create_future()
        own = node()

        def land() -> None:
            ledger.book(world.loop.time(), own.name, ctx.key, subject)
            world.in_node(own, 0.001, lambda: landed.done() or landed.set_result(None))

        world.in_world(delay, land)
        await landed
        return subject

    @once_late.verify
    async def once_late_happened(ctx: Context[None], subject: str) -> Verdict[str]:
        await work()
        return Done(subject) if ledger.has(ctx.key) else NotDone

    @app.tool(effect="once", timeout="20s", retry=50)
    async def once_blind(ctx: Context[None], subject: str) -> str:
        await work()
        ledger.book(world.loop.time(), node().name, ctx.key, subject)
        await work()
        return subject

    @app.tool(effect="once", timeout="20s", retry=50)
    async def once_refuse(ctx: Context[None], subject: str, failures: int) -> str:
        await work()
        tries[subject] = tries.get(subject, 0) + 1
        if tries[subject] <= failures:
            raise NotDone(subject)
        ledger.book(world.loop.time(), node().name, ctx.key, subject)
        return subject

    @once_refuse.verify
    async def once_refuse_happened(ctx: Context[None], subject: str, failures: int) -> Verdict[str]:
        await work()
        return Done(subject) if ledger.has(ctx.key) else NotDone

    @app.tool(effect="pure")
    async def poison(subject: str) -> str:
        await work()
        world.crash(node(), f"poison {subject}")
        await node().acting()
        return subject

    async def perform(run: Run[None], path: str, program: Sequence[Operation]) -> list[Any]:
        return [await operate(run, f"{path}/{index}", operation) for index, operation in enumerate(program)]

    async def operate(run: Run[None], subject: str, operation: Operation) -> Any:  # noqa: C901 # one case for each
        match operation:
            case ["pure"]:
                return await pure(subject)
            case ["shaky", failures]:
                return await shaky(subject, failures)
            case ["once"]:
                return await once(subject)
            case ["once_late"]:
                return await once_late(subject)
            case ["once_blind"]:
                return await once_blind(subject)
            case ["once_refuse", failures]:
                return await once_refuse(subject, failures)
            case ["sleep", seconds]:
                return await run.sleep(seconds)
            case ["signal", name, seconds]:
                return await run.signal(name, Any, timeout=seconds, default=None)  # type: ignore[arg-type] # any JSON
            case ["gather", branches]:
                parts = [perform(run, f"{subject}.{index}", branch) for index, branch in enumerate(branches)]
                return list(await run.gather(*parts))
            case ["map", count, limit, branch]:

                async def one(index: int) -> list[Any]:
                    return await perform(run, f"{subject}.{index}", branch)

                return await run.map(one, range(count), limit=limit)
            case ["child", inner]:
                return await agent(subject, inner)
            case ["model"]:
                return (await run.model("writer", f"say {subject}", timeout="5s", retry=50)).value
            case ["abandon", seconds]:
                try:
                    async with asyncio.timeout(seconds):
                        return await slow(subject, 30.0)
                except TimeoutError:
                    return None
            case ["race"]:
                tasks = [asyncio.ensure_future(slow(f"{subject}{name}", run.random().random())) for name in "ab"]
                done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                winner = "".join(sorted(task.result()[-1] for task in done))
                await asyncio.wait(waiting or done)
                return winner
            case ["turn"]:
                run.session.state["turns"] = run.session.state.get("turns", 0) + 1
                run.session.say("user", subject)
                return run.session.state["turns"]
            case ["poison"]:
                return await poison(subject)
            case ["fail"]:
                raise RuntimeError(subject)
            case ["continue", left]:
                if left:
                    run.continue_as_new(f"{subject}+", [["once"], ["continue", left - 1]])
                return None
            case _:
                raise ValueError(f"operation {operation!r} is not known")

    @app.agent(name="program", budget=Budget(), session_ttl=None)
    async def agent(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await perform(run, name, program)

    @app.agent(name="frugal", budget=Budget(steps=5), session_ttl=None)
    async def frugal(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await perform(run, name, program)

    return app


def expected(path: str, program: Sequence[Operation]) -> tuple[set[str], bool]:  # noqa: C901 # one case for each
    """By the program alone: the subjects that a completed run must have booked once; whether it can complete at all."""
    subjects: set[str] = set()
    completes = True
    for index, operation in enumerate(program):
        subject = f"{path}/{index}"
        inner: list[tuple[str, Sequence[Operation]]] = []
        match operation:
            case ["once" | "once_late" | "once_blind" | "once_refuse", *_]:
                subjects.add(subject)
            case ["gather", branches]:
                inner = [(f"{subject}.{number}", branch) for number, branch in enumerate(branches)]
            case ["map", count, _, branch]:
                inner = [(f"{subject}.{number}", branch) for number in range(count)]
            case ["child", program_of_child]:
                inner = [(subject, program_of_child)]
            case ["continue", left] if left:
                inner = [(f"{subject}+", [["once"], ["continue", left - 1]])]
            case ["poison" | "fail"]:
                completes = False
            case _:
                pass
        for inner_path, branch in inner:
            more, can = expected(inner_path, branch)
            subjects |= more
            completes = completes and can
    return subjects, completes
