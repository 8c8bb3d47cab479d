"""Answers kept for a while: one flight per key, bounded, and stale ones for when the source fails.

Source: request coalescing ("Caching challenges and strategies", Amazon Builders' Library, 2019; Go's singleflight);
stale-if-error is RFC 5861's, and is said.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar, cast

import msgspec

from outlast.kernel.deadline import deadline
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.unit import Duration, seconds
from outlast.model.shared import Shared

T = TypeVar("T")


class Hit(msgspec.Struct, Generic[T], frozen=True):
    """A value that was in the cache, `age_s` seconds old; `stale`: older than its time to live."""

    value: T
    age_s: float
    stale: bool = False


class Cache(Generic[T]):
    """Values by key. They are handed out as they are, not copied: treat them as read-only.

    A value is fresh for `ttl`, and for `stale` more it may stand in when its source fails. At most `entries_max` are
    kept, the least recently used goes first. `key` makes the key from what a Guard is called with; without it, equal
    calls of the same function share one, as far as their arguments have a JSON form. What is not here is looked for in
    `shared`, where other processes put what they loaded. For one event loop at a time.
    """

    def __init__(
        self,
        ttl: Duration,
        *,
        stale: Duration = 0,
        entries_max: int = 10_000,
        key: Callable[..., Hashable] | None = None,
        shared: Shared[T] | None = None,
    ) -> None:
        if entries_max < 1:
            raise ConfigurationError(f"cache entries_max is {entries_max}: write one or more")
        self.ttl_s = seconds(ttl)
        self.stale_s = seconds(stale)
        self.entries_max = entries_max
        self.coalesced = 0
        """How many calls joined one that was under way already."""
        self._key = key
        self._shared = shared
        self._entries: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._flights: dict[Hashable, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, now: float, key: Hashable) -> Hit[T] | None:
        """The value that is kept for `key`, fresh or stale. `now` is the monotonic time in seconds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        age_s = max(0.0, now - entry[0])
        if age_s > self.ttl_s + self.stale_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return Hit(entry[1], age_s, age_s > self.ttl_s)

    def put(self, now: float, key: Hashable, value: T) -> None:
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self.entries_max:
            self._entries.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """What is under way for `key` is not kept either: it may have been read before whatever made it wrong."""
        self._entries.pop(key, None)
        self._flights.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._flights.clear()

    def key_of(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Hashable:
        """The key of a call; raises UsageError if its arguments make none."""
        if self._key is not None:
            return self._key(*arguments, **keywords)
        try:
            # Not hash(arguments): 1, 1.0 and True would share an answer.
            return function, msgspec.json.encode((arguments, keywords), order="sorted")
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"a cached call has arguments without a JSON form ({error}): give the cache a key=..., a function that "
                "makes a hashable key from the same arguments"
            ) from None

    async def join(self, key: Hashable, load: Callable[[], Awaitable[T]]) -> T:
        """What `load` returns, kept for `key`. However many ask at once, one `load` is under way.

        It raises what `load` raises, for all who asked; nothing is kept then. Whoever is cancelled leaves the others
        alone; `load` is cancelled when nobody waits for it any more. It has no deadline but its own.
        """
        loop = asyncio.get_running_loop()
        flight = self._flights.get(key)
        if flight is None or flight.task.get_loop() is not loop:
            context = contextvars.copy_context()
            context.run(deadline.set, None)
            if self._shared is not None:
                load = functools.partial(self._shared.fetch, asked_of(key), load)
            flight = _Flight(loop.create_task(_run(load), context=context))
            self._flights[key] = flight
            flight.task.add_done_callback(lambda _: self._landed(loop.time(), key, flight))
        else:
            self.coalesced += 1
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                flight.task.cancel()
                if self._flights.get(key) is flight:  # who comes now must not join one that is being cancelled
                    del self._flights[key]
        if flight.task.cancelled():
            raise RuntimeError("a cached call was cancelled from inside")
        return flight.task.result()

    def _landed(self, now: float, key: Hashable, flight: _Flight[T]) -> None:
        failed = flight.task.cancelled() or flight.task.exception() is not None
        if self._flights.get(key) is flight:
            del self._flights[key]
            if not failed:
                self.put(now, key, flight.task.result())


def asked_of(key: Hashable) -> bytes:
    """A key as bytes that mean the same in every process; raises UsageError for one that does not."""
    try:
        parts = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else ()
        if len(parts) == 2 and callable(parts[0]):
            function, arguments = parts
            name = f"{function.__module__}.{function.__qualname__}"
            if "<" not in name:  # a lambda, or a function inside another: its name does not say what it does
                return name.encode() + b"\x1f" + arguments
        else:
            return msgspec.json.encode(key, order="sorted")
    except (AttributeError, TypeError, ValueError):
        pass
    raise UsageError(
        f"a shared cache cannot name the call {repr(cast('object', key))[:100]} for other processes: call a function "
        "of a module, or give the cache a key=... that makes text, numbers or tuples of them"
    )


class _Flight(Generic[T]):
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


async def _run(load: Callable[[], Awaitable[T]]) -> T:
    return await load()
