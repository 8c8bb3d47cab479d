"""What gathers while a commit is under way shares the next. Pure: no I/O, no clock.

Unlike `journal/commit.py` it remembers no ends of streams: other processes write the same tables, so only the database
can judge. A round therefore holds one append a stream, and one hint a run: each is judged by itself.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from outlast.journal.commit import batch_bytes_max, batch_count_max
from outlast.journal.stream import Append

Ticket = TypeVar("Ticket")


class Gathering(Generic[Ticket]):
    """Requests that wait for a round, in the order of offers."""

    def __init__(self, *, count_max: int = batch_count_max, bytes_max: int = batch_bytes_max) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._waiting: deque[tuple[Ticket, Append]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, ticket: Ticket, append: Append) -> None:
        """A request for a later round."""
        self._waiting.append((ticket, append))

    def take(self) -> list[tuple[Ticket, Append]]:
        """The next round, within the bounds, in the order of streams. What does not fit it waits on in its order."""
        waiting = self._waiting
        taken: list[tuple[Ticket, Append]] = []
        left: list[tuple[Ticket, Append]] = []
        streams: set[str] = set()
        runs: set[str] = set()
        size = 0
        while waiting and len(taken) < self._count_max:
            item = waiting[0]
            append = item[1]
            if taken and size + len(append.body) > self._bytes_max:
                break
            waiting.popleft()
            if append.stream in streams or (append.hint is not None and append.hint.run in runs):
                left.append(item)
                streams.add(append.stream)  # those behind it on its stream wait too
                continue
            size += len(append.body)
            streams.add(append.stream)
            if append.hint is not None:
                runs.add(append.hint.run)
            taken.append(item)
        waiting.extendleft(reversed(left))
        taken.sort(key=_stream)
        return taken


def _stream(item: tuple[object, Append]) -> str:
    return item[1].stream
