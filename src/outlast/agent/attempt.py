"""One attempt at a function: in its time, on the loop or in a thread, in a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from outlast.agent.step import current_frame
from outlast.kernel.error import StepTimeout


class Threads:
    """The threads of one worker for synchronous functions; made on first use."""

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads_max, thread_name_prefix="outlast-step")
        return asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Start no more; threads under way are left alone."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


async def attempt(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    *,
    is_async: bool,
    timeout_s: float,
    threads: Threads,
    what: str,
    left_running: Callable[[asyncio.Future[Any]], None] | None = None,
) -> Any:
    """What the function returns. Raises what it raises, and StepTimeout after `timeout_s` seconds.

    A thread cannot be stopped: one that is left behind by a time-out or a cancellation is told to `left_running`.
    Calls of tools and steps inside the function are plain calls: it has no place in the run.
    """
    token = current_frame.set(None)
    try:
        if is_async:
            deadline = asyncio.timeout(timeout_s)
            try:
                async with deadline:
                    return await function(*arguments, **keywords)
            except TimeoutError:
                if not deadline.expired():
                    raise
                raise StepTimeout(f"{what} did not end within {timeout_s:g} s") from None
        context = contextvars.copy_context()
        future = threads.submit(functools.partial(context.run, function, *arguments, **keywords))
        try:
            await asyncio.wait([future], timeout=timeout_s)
        finally:
            if not future.done():
                future.add_done_callback(_forget)
                if left_running is not None and not future.cancel():
                    left_running(future)
        if not future.done() or future.cancelled():
            raise StepTimeout(f"{what} did not end within {timeout_s:g} s; its thread cannot be stopped")
        return future.result()
    finally:
        current_frame.reset(token)


def _forget(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
