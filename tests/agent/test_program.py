"""Random agent programs, killed at random places and taken over: the same result, every booking exactly once.

``OUTLAST_SEED=…`` reproduces a failure; the seed of each run is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.kernel.error import NotDone
from outlast.kernel.point import Place
from outlast.policy.retry import Retry
from tests.agent.desk import Dies, desk

SEED = int(os.environ.get("OUTLAST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
EXAMPLES = int(os.environ.get("OUTLAST_EXAMPLES", "40"))
PLACES: list[Place] = [
    "append.before", "append.after", "claim.before", "claim.after", "intent.before", "intent.after", "effect.after",
    "record.after", "verify.before", "verify.after", "gather.enter", "gather.exit", "timer.set", "timer.fired",
    "signal.consumed", "run.end.before", "run.end.after",
]  # fmt: skip


@dataclass
class Op:
    """One statement of a program."""

    kind: str
    n: int = 0
    inside: list[Op] = field(default_factory=list)
    fails: int = 0
    """How often its tool fails first."""


leaves = st.one_of(
    st.builds(
        Op, st.sampled_from(["pure", "thread", "once", "book_thread"]), st.integers(0, 9), fails=st.integers(0, 1)
    ),
    st.builds(Op, st.just("sleep"), st.integers(0, 3)),
    st.builds(Op, st.just("signal"), st.integers(0, 2)),
    st.builds(Op, st.sampled_from(["child", "race", "random"]), st.integers(0, 3)),
)  # fmt: skip
ops = st.recursive(
    leaves,
    lambda inner: st.builds(
        Op, st.sampled_from(["gather", "map", "block"]), st.integers(0, 3), st.lists(inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip
programs = st.lists(ops, min_size=1, max_size=6)
kills = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 12)), max_size=5)


class World:
    """The app that runs programs, and the ledger outside it."""

    def __init__(self, program: list[Op]) -> None:
        self.app: App[None] = App("t")
        self.ledger: list[str] = []
        self.failed: dict[str, int] = {}
        self.program = program
        app = self.app
        fast = Retry(10, 0.0005, 0.001)

        def flaky(ctx: Context[None], fails: int, error: Exception) -> None:
            if self.failed.setdefault(ctx.key, 0) < fails:
                self.failed[ctx.key] += 1
                raise error

        @app.tool(effect="pure", retry=fast)
        async def pure(ctx: Context[None], n: int, fails: int) -> int:
            await asyncio.sleep(0)
            flaky(ctx, fails, ConnectionError("away"))
            return n

        @app.tool(effect="idempotent", retry=fast)
        def thread(ctx: Context[None], n: int, fails: int) -> int:
            flaky(ctx, fails, ConnectionError("away"))
            return n

        @app.tool(effect="once", retry=fast)
        async def once(ctx: Context[None], n: int, fails: int) -> int:
            flaky(ctx, fails, NotDone("not yet"))
            await asyncio.sleep(0)
            self.ledger.append(ctx.key)
            await asyncio.sleep(0)
            return n

        @app.tool(effect="once", retry=fast)
        def book_thread(ctx: Context[None], n: int, fails: int) -> int:
            flaky(ctx, fails, ConnectionError("away"))
            self.ledger.append(ctx.key)
            return n

        for tool in (once, book_thread):

            @tool.verify
            async def check(ctx: Context[None], n: int, fails: int) -> Any:
                return Done(n) if ctx.key in self.ledger else NotDone

        self.tools = {"pure": pure, "thread": thread, "once": once, "book_thread": book_thread}

        @app.agent
        async def small(run: Run[None], n: int) -> int:
            return await once(n, 0) + await pure(n, 0)

        self.small = small

        @app.agent
        async def main(run: Run[None]) -> list[Any]:
            return [await self.perform(run, op) for op in self.program]

    async def perform(self, run: Run[None], op: Op) -> Any:
        match op.kind:
            case "sleep":
                await run.sleep(op.n * 0.01)
                return "slept"
            case "signal":
                return await run.signal(f"s{op.n}")
            case "child":
                return await self.small(op.n)
            case "random":
                return [run.random().random(), str(run.uuid())]
            case "race":
                tasks = {asyncio.ensure_future(self.tools["pure"](n, 0)) for n in range(3)}
                done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                found = sorted(task.result() for task in done)
                for task in await asyncio.gather(*rest):
                    found.append(task)
                return sorted(found)
            case "block":
                return [await self.perform(run, inner) for inner in op.inside]
            case "gather" | "map":
                return await run.map(lambda inner: self.perform(run, inner), op.inside, limit=op.n or None)
            case _:
                return await self.tools[op.kind](op.n, op.fails)


def expected(op: Op, books: list[int]) -> Any:
    """The result of a statement, as far as chance does not decide it, and how often it books."""
    match op.kind:
        case "sleep":
            return "slept"
        case "signal":
            return op.n
        case "child":
            books.append(op.n)
            return 2 * op.n
        case "random":
            return None
        case "race":
            return [0, 1, 2]
        case "block" | "gather" | "map":
            return [expected(inner, books) for inner in op.inside]
        case "once" | "book_thread":
            books.append(op.n)
            return op.n
        case _:
            return op.n


def same(found: Any, wanted: Any) -> bool:
    if wanted is None:
        return isinstance(found, list) and len(found) == 2
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def signals_of(ops: list[Op]) -> list[int]:
    return [n for op in ops for n in ([op.n] if op.kind == "signal" else signals_of(op.inside))]


async def run_killed(program: list[Op], deaths: list[tuple[Place, int]]) -> None:
    world = World(program)
    async with desk(world.app, workers=0, park_after_s=0.02, unwind_s=0.05) as d:
        d.executors.answer = True

        async def next_worker() -> Dies | None:
            if deaths:
                place, skip = deaths.pop(0)
                return await d.hire_mortal(place, skip=skip)
            await d.hire()
            return None

        mortal = await next_worker()
        run = await d.start("main")
        for index, n in enumerate(signals_of(program)):
            await d.control.signal(run, f"s{n}", n, id=str(index))
        ended = asyncio.ensure_future(d.until(run, deadline_s=30))
        while not ended.done():
            died = asyncio.ensure_future(mortal.died.wait() if mortal else asyncio.Event().wait())
            await asyncio.wait([died, ended], return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if mortal is not None and mortal.died.is_set():
                mortal = await next_worker()
                for name, wire in d.wires.items():
                    if wire.cut:
                        await d.take_over(name)
        view = await ended
        books: list[int] = []
        wanted = [expected(op, books) for op in program]
        assert view.state == "completed", (view.state, view.reason, view.error, d.reports)
        assert same(view.result, wanted), (view.result, wanted)
        assert len(world.ledger) == len(set(world.ledger)) == len(books), (world.ledger, books)


@pytest.mark.timeout(300)
@hypothesis_seed(SEED)
@settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(program=programs, deaths=kills)
def test_any_program_killed_anywhere_gives_the_same_result_and_books_exactly_once(
    program: list[Op], deaths: list[tuple[Place, int]]
) -> None:
    print(f"OUTLAST_SEED={SEED}")  # noqa: T201 (it reproduces the failure)
    asyncio.run(run_killed(program, list(deaths)))
