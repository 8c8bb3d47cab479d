"""Group commit: what gathers while one commit is under way shares the next. Pure: no I/O, no clock.

A shell around it does the I/O: SQLite in a process (`adapters/sqlite/engine.py`) or a simulated disk. One round::

    idle --take--> taken --decide--> decided --committed--> idle   (each write Applied, each misfit Conflicted)
                                       |
                                       +------failed------> idle   (everything Unknown, all heads forgotten)

Requests may be offered in any phase; they wait for the next round. Nothing is answered before the commit that carries
it is over. One conflict never touches its neighbours; an append that resends what is stored already is Conflicted, and
its writer finds its own `append_id` in the stream. After a failed *sync* the shell must
also end its process: what the kernel then still holds is not known (Rebello et al., "Can Applications Recover from
fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from outlast.journal.chain import link
from outlast.journal.stream import Append, Applied, Conflicted, Head, Outcome, Unknown
from outlast.kernel.error import invariant

Ticket = TypeVar("Ticket")
"""What the shell needs to answer a request: a future, a connection and a number."""

Phase = Literal["idle", "taken", "decided"]

batch_count_max = 2048
"""Bound of the appends in one commit."""
batch_bytes_max = 8 * 1024 * 1024
"""Bound of the bodies in one commit, 8 MiB; a single larger one still goes, alone."""
heads_max = 100_000
"""Bound of the stream ends that are remembered; forgotten ones are looked up again."""


class Write(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An append that fits, and the end of its stream once it is written."""

    append: Append
    head: Head


class GroupCommit(Generic[Ticket]):
    """The state machine. It knows the ends of streams it has seen; it must be told the others.

    Only one of these may write a store at a time: it trusts the ends it remembers.
    """

    def __init__(
        self,
        *,
        count_max: int = batch_count_max,
        bytes_max: int = batch_bytes_max,
        heads_max: int = heads_max,
    ) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._heads_max = heads_max
        self._phase: Phase = "idle"
        self._waiting: deque[tuple[Ticket, Append]] = deque()
        self._waiting_bytes = 0
        self._batch: list[tuple[Ticket, Append]] = []
        self._outcomes: list[tuple[Ticket, Outcome]] = []
        self._heads: dict[str, Head] = {}  # least recently used first
        self._fresh: dict[str, Head] = {}

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def waiting(self) -> int:
        """How many requests wait for a round."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of their bodies."""
        return self._waiting_bytes

    def head(self, stream: str) -> Head | None:
        """The durable end of a stream, if it is remembered."""
        return self._heads.get(stream)

    def forget(self, streams: Iterable[str]) -> None:
        """These ends must be looked up again."""
        invariant(self._phase == "idle", f"ends were forgotten in a round that is {self._phase}")
        for stream in streams:
            self._heads.pop(stream, None)

    def offer(self, ticket: Ticket, append: Append) -> None:
        """A request; it is answered by the round that takes it, in the order of offers."""
        self._waiting.append((ticket, append))
        self._waiting_bytes += len(append.body)

    def take(self) -> Sequence[str]:
        """Begin a round with what waits, within the bounds: the streams whose ends `decide` must be told."""
        invariant(self._phase == "idle", f"a round was taken while one is {self._phase}")
        self._phase = "taken"
        waiting = self._waiting
        size = 0
        wanted: dict[str, None] = {}
        while waiting and len(self._batch) < self._count_max:
            item = waiting[0]
            size += len(item[1].body)
            if size > self._bytes_max and self._batch:
                break
            waiting.popleft()
            self._waiting_bytes -= len(item[1].body)
            self._batch.append(item)
            stream = item[1].stream
            if stream not in self._heads:
                wanted[stream] = None
        return list(wanted)

    def decide(self, ends: Mapping[str, Head]) -> Sequence[Write]:
        """Judge the round in order, each append against the result of those before it: what must be written."""
        invariant(self._phase == "taken", f"a round was decided while it is {self._phase}")
        self._phase = "decided"
        writes: list[Write] = []
        known, fresh = self._heads, self._fresh
        for ticket, append in self._batch:
            stream = append.stream
            head = fresh.get(stream) or known.get(stream) or ends[stream]
            outcome: Outcome
            if head == append.expected:
                head = Head(append.head, link(head.hash, append.body))
                writes.append(Write(append, head))
                outcome = Applied(head)
            else:
                outcome = Conflicted(head)
            fresh[stream] = head
            self._outcomes.append((ticket, outcome))
        return writes

    def committed(self) -> Sequence[tuple[Ticket, Outcome]]:
        """The round is durable: its answers."""
        invariant(self._phase == "decided", f"a round was committed while it is {self._phase}")
        known = self._heads
        for stream, head in self._fresh.items():
            known.pop(stream, None)
            known[stream] = head
        while len(known) > self._heads_max:
            del known[next(iter(known))]
        outcomes = self._outcomes
        self._reset()
        return outcomes

    def failed(self, reason: str) -> Sequence[tuple[Ticket, Outcome]]:
        """The round may or may not be durable: all of it is Unknown, and every remembered end is forgotten."""
        invariant(self._phase != "idle", "a round failed while none is under way")
        unknown = Unknown(reason)
        outcomes: list[tuple[Ticket, Outcome]] = [(ticket, unknown) for ticket, _ in self._batch]
        self._heads.clear()
        self._reset()
        return outcomes

    def _reset(self) -> None:
        self._phase = "idle"
        self._batch = []
        self._outcomes = []
        self._fresh = {}
