"""What a tool can know of its time, and what a guard inside it makes of that."""

from __future__ import annotations

import asyncio
from typing import Any

import outlast
from outlast.agent.attempt import Threads, in_thread, on_loop
from outlast.kernel.deadline import deadline, remaining_s
from outlast.testing import run as play


async def test_a_function_knows_how_long_it_has_and_what_follows_knows_what_was_before() -> None:
    loop = asyncio.get_running_loop()

    async def left() -> float | None:
        return remaining_s(loop.time())

    deadline.set(loop.time() + 1_000)
    found = await on_loop(left, (), {}, 60.0, "left")
    assert found is not None
    assert 30 < found <= 60
    after = remaining_s(loop.time())
    assert after is not None
    assert after > 900


async def test_so_does_one_in_a_thread() -> None:
    loop = asyncio.get_running_loop()
    threads = Threads(1)
    found: Any = await in_thread(deadline.get, (), {}, 60.0, "left", threads)
    threads.close()
    assert loop.time() + 30 < found <= loop.time() + 60
    assert deadline.get() is None


app = outlast.App[None]("library")


async def vectors(query: str) -> list[str]:
    await asyncio.sleep(3600)
    return [query]


def words(query: str) -> list[str]:
    return [f"{query} by its words"]


@app.tool(effect="pure", timeout="2s")
async def search(query: str) -> outlast.Guarded[list[str]]:
    """Passages about something."""
    return await outlast.Guard("knowledge", timeout="1m", fallback=words)(vectors, query)


@app.agent
async def reader(run: outlast.Run[None], query: str) -> str:
    found = await search(query)
    return f"{found.value[0]}{' (degraded)' if found.degraded else ''}"


def test_a_guard_in_a_tool_falls_back_before_the_tools_time_is_over_and_the_agent_hears_of_it() -> None:
    assert play(reader, "refunds").result == "refunds by its words (degraded)"


async def test_outside_a_run_the_guards_own_time_out_counts() -> None:
    guard = outlast.Guard("knowledge", timeout="10ms", fallback=words)
    assert (await guard(vectors, "refunds")).degraded
