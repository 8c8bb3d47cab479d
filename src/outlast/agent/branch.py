"""Branches of a run: tasks with a scope each, started together, waited for together."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from outlast.agent.attempt import would_end_worker
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.scope import Scope
from outlast.agent.step import Engine, Frame, current_frame
from outlast.kernel.error import UsageError


def start_line(engine: Engine, scope: Scope, code: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that runs agent code as the owner of `scope`."""
    context = contextvars.copy_context()
    context.run(current_frame.set, Frame(engine, scope))
    task = asyncio.get_running_loop().create_task(_contained(code), context=context)
    scope.task = task
    return task


async def _contained(code: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await code
    except (SystemExit, KeyboardInterrupt) as error:
        raise would_end_worker("agent code", error) from None


async def gather(
    frame: Frame,
    branches: Sequence[Callable[[], Awaitable[Any]]],
    limit: int | None,
    recorder: Recorder,
    platform: Platform,
) -> list[Any]:
    """Results in order; the first error in order, after all have ended. Cancelling cancels all and waits for them."""
    if len(branches) > platform.settings.branches_max:
        raise UsageError(
            f"run.gather/map got {len(branches)} branches, the bound branches_max is {platform.settings.branches_max}: "
            "use child runs, or several maps"
        )
    place = frame.scope.next_place("gather")
    platform.points.reach("gather.enter", place)
    gate = asyncio.Semaphore(limit if limit is not None else max(1, len(branches)))

    async def line(branch: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            recorder.busy += 1
            try:
                return await branch()
            except Exception:
                platform.points.reach("gather.error", place)
                raise
            finally:
                recorder.busy -= 1
                recorder.look()

    scopes = [frame.scope.branch(place, index) for index in range(len(branches))]
    recorder.busy -= 1
    tasks = [start_line(frame.engine, scope, line(branch)) for scope, branch in zip(scopes, branches, strict=True)]
    try:
        if tasks:
            await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    finally:
        recorder.busy += 1
    frame.scope.now = max((frame.scope.now, *(scope.now for scope in scopes)))
    platform.points.reach("gather.exit", place)
    for task in tasks:
        if task.cancelled():
            raise asyncio.CancelledError
        error = task.exception()
        if error is not None:
            raise error
    return [task.result() for task in tasks]
