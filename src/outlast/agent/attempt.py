"""One attempt at a function: in its time, on the loop or in a thread.

Calls of tools and steps inside the function are plain calls: it has no place in the run. What would end the worker
(`sys.exit`, KeyboardInterrupt), or look as if agent code had cancelled it, is an error of the function. `what` is named
in errors.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from outlast.agent.step import current_frame
from outlast.kernel.deadline import deadline
from outlast.kernel.error import NotDone, StepTimeout


class Threads:
    """The threads of one worker for synchronous functions; made on first use.

    It also knows which effects may still be under way in this very process, whoever has stopped waiting for them.
    """

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._pool: ThreadPoolExecutor | None = None
        self._acting: dict[str, asyncio.Future[Any]] = {}

    def submit(self, function: Callable[[], Any]) -> ThreadFuture[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads_max, thread_name_prefix="outlast-step")
        return self._pool.submit(function)

    def note(self, key: str, future: asyncio.Future[Any]) -> None:
        """The effect that belongs to `key` may happen until `future` is done."""
        self._acting[key] = future
        future.add_done_callback(functools.partial(self._over, key))

    def acting(self, key: str) -> asyncio.Future[Any] | None:
        """What may still bring about the effect that belongs to `key`."""
        future = self._acting.get(key)
        return None if future is None or future.done() else future

    def _over(self, key: str, future: asyncio.Future[Any]) -> None:
        if self._acting.get(key) is future:
            del self._acting[key]
        _forget(future)

    def close(self) -> None:
        """Start no more; threads under way are left alone."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


class _TimeOut:
    """Cancels the task when the time is over: `asyncio.timeout`, less what an attempt does not need (hot path)."""

    __slots__ = ("_task", "expired", "handle")

    def __init__(self, task: asyncio.Task[Any], seconds: float) -> None:
        self._task = task
        self.expired = False
        self.handle = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()


async def on_loop(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any], timeout_s: float, what: object
) -> Any:
    """What an async function returns. Raises what it raises, and StepTimeout after `timeout_s` seconds."""
    task = asyncio.current_task()
    assert task is not None
    cancelled_before = task.cancelling()
    limit = _TimeOut(task, timeout_s)
    token = current_frame.set(None)
    outer = deadline.set(limit.handle.when())
    try:
        return await function(*arguments, **keywords)
    except (SystemExit, KeyboardInterrupt) as error:
        raise would_end_worker(what, error) from None
    except asyncio.CancelledError:
        if limit.expired and task.cancelling() == cancelled_before + 1:
            raise StepTimeout(f"{what} did not end within {timeout_s:g} s") from None
        if task.cancelling():
            raise
        raise RuntimeError(f"{what} was cancelled from inside") from None
    finally:
        current_frame.reset(token)
        deadline.reset(outer)
        limit.handle.cancel()
        if limit.expired:
            task.uncancel()


async def in_thread(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    timeout_s: float,
    what: object,
    threads: Threads,
    left_running: Callable[[asyncio.Future[Any]], None] | None = None,
) -> Any:
    """What a synchronous function returns. Raises as `on_loop`, and NotDone if no thread was free for it in that time.

    A thread cannot be stopped: one that is left behind by a time-out or a cancellation is told to `left_running`.
    """
    context = contextvars.copy_context()
    context.run(current_frame.set, None)
    context.run(deadline.set, asyncio.get_running_loop().time() + timeout_s)
    thread = threads.submit(functools.partial(_plainly, context, function, arguments, keywords, what))
    future = asyncio.wrap_future(thread)
    never_began = False
    try:
        await asyncio.wait([future], timeout=timeout_s)
    finally:
        if not future.done():
            never_began = thread.cancel()
            if not never_began and left_running is not None:
                left_running(asyncio.wrap_future(thread))
            future.cancel()
    if never_began:
        raise NotDone(f"{what} did not begin within {timeout_s:g} s: all threads of the worker are busy (threads_max)")
    if future.cancelled():
        raise StepTimeout(f"{what} did not end within {timeout_s:g} s; its thread cannot be stopped")
    return future.result()


def _plainly(
    context: contextvars.Context,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    what: object,
) -> Any:
    try:
        return context.run(function, *arguments, **keywords)
    except StopIteration as error:  # no future can hold it
        raise RuntimeError(f"{what} raised StopIteration") from error
    except (SystemExit, KeyboardInterrupt) as error:
        raise would_end_worker(what, error) from None


def would_end_worker(what: object, error: SystemExit | KeyboardInterrupt) -> RuntimeError:
    """An event loop lets these two through: they would end the worker, and all other runs in it."""
    did = f"called sys.exit({error.code!r})" if isinstance(error, SystemExit) else "raised KeyboardInterrupt"
    return RuntimeError(f"{what} {did}")


def _forget(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
