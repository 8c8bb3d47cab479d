"""Bugs of appending: fences, acknowledgements, numbers, unknown outcomes, the group commit, claims."""

# ruff: noqa: SLF001 (it stands in for what it replaces, and sees what that sees)
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Container, Mapping, Sequence
from typing import Any

from outlast.agent import create
from outlast.agent import event as ev
from outlast.agent.create import NewRun, create_run, run_key
from outlast.agent.mail import post
from outlast.agent.platform import Platform
from outlast.cell import claim as claiming
from outlast.journal.chain import link
from outlast.journal.commit import GroupCommit, Write
from outlast.journal.record import append_id_of, make_append
from outlast.journal.stream import Append, Applied, Conflicted, EventStore, Head, Outcome
from outlast.journal.writer import Fenced, StreamWriter, settle_append
from outlast.kernel.clock import Clock
from outlast.simulation.mutation.patch import Mutant, Patch, everywhere

_SETTLERS = ("journal.writer", "agent.create", "agent.mail", "agent.session", "agent.switch", "cell.claim")


def _next(writer: StreamWriter, events: list[Any], at: float) -> Append:
    writer._count += 1
    append_id = f"{writer._writer}.{writer._count}"
    append = make_append(writer._stream, writer.head, append_id, at, events, writer._hint())
    writer._points.reach("append.before", writer._stream)
    return append


async def _follow_the_head(self: StreamWriter, events: list[Any]) -> float:
    while True:
        at = round(self._clock.now(), 6)
        append = _next(self, events, at)
        outcome = await self._store.append(append)
        if isinstance(outcome, Conflicted):
            self.head = outcome.head  # the bug: who was fenced goes on behind whoever fenced it
            continue
        if isinstance(outcome, Applied):
            self.head = outcome.head
        else:
            self.head = await settle_append(self._store, append, self._clock, self._patience_s)
        self._points.reach("append.after", self._stream)
        return at


async def _answer_first(self: StreamWriter, events: list[Any]) -> float:
    at = round(self._clock.now(), 6)
    append = _next(self, events, at)
    before: asyncio.Task[None] | None = getattr(self, "_before", None)

    async def send() -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await settle_append(self._store, append, self._clock, self._patience_s)
        except Exception as error:  # noqa: BLE001 # nobody is told any more: that is the bug
            self.ended = error

    self.head = Head(append.head, link(self.head.hash, append.body))
    self._before = asyncio.get_running_loop().create_task(send())  # type: ignore[attr-defined] # the mutant's own
    self._points.reach("append.after", self._stream)
    return at


async def _make_anew(self: StreamWriter, events: list[Any]) -> float:
    while True:
        at = round(self._clock.now(), 6)
        append = _next(self, events, at)
        outcome = await self._store.append(append)
        if isinstance(outcome, Applied):
            self.head = outcome.head
            break
        await self._clock.sleep(0.05)
        found = await self._store.read(self._stream, self.head.seq, 1)
        if found and append_id_of(found[0]) == append.append_id:
            self.head = Head(append.head, found[0].hash)
            break
        if found and not append_id_of(found[0]).startswith(self._writer):
            raise Fenced(f"stream {self._stream} is another's")
        if found:  # an earlier one of its own, which was given up as absent: the bug is to write all of it once more
            self.head = Head(found[0].seq + found[0].count - 1, found[0].hash)
    self._points.reach("append.after", self._stream)
    return at


async def _moved_is_mine(store: EventStore, append: Append, clock: Clock, patience_s: float) -> Head:
    outcome = await store.append(append)
    if isinstance(outcome, Applied):
        return outcome.head
    if isinstance(outcome, Conflicted):
        return await settle_append(store, append, clock, patience_s)
    await clock.sleep(0.02)
    head = await store.head(append.stream)
    if head.seq >= append.head:  # the bug: somebody wrote there, so it must have been this append
        return head
    return await settle_append(store, append, clock, patience_s)


async def _moved_is_mine_first(self: StreamWriter, events: list[Any]) -> float:
    at = round(self._clock.now(), 6)
    append = _next(self, events, at)
    self.head = await _moved_is_mine(self._store, append, self._clock, self._patience_s)
    self._points.reach("append.after", self._stream)
    return at


def _decide_on_old_ends(self: GroupCommit[Any], ends: Mapping[str, Head]) -> Sequence[Write]:
    self._phase = "decided"
    writes: list[Write] = []
    for ticket, append in self._batch:
        head = self._heads.get(append.stream) or ends[append.stream]  # the bug: not what this batch already gave away
        outcome: Outcome = Conflicted(head)
        if head == append.expected:
            head = Head(append.head, link(head.hash, append.body))
            writes.append(Write(append, head))
            outcome = Applied(head)
        self._fresh[append.stream] = head
        self._outcomes.append((ticket, outcome))
    return writes


_decide = GroupCommit[Any].decide


def _roll_back_all(self: GroupCommit[Any], ends: Mapping[str, Head]) -> Sequence[Write]:
    writes = _decide(self, ends)
    return [] if any(isinstance(outcome, Conflicted) for _, outcome in self._outcomes) else writes


def _fail_as_committed(self: GroupCommit[Any], reason: str) -> Sequence[tuple[Any, Outcome]]:
    return self.committed()


async def _claim_with_old_history(
    platform: Platform, run: str, worker: str, solo: bool, agents: Container[str]
) -> claiming.Claimed | None:
    try:
        history, head = await claiming.read_history(platform, run)
    except claiming.NotFound:
        return None
    while history.ended is None:
        await platform.clock.sleep(0.01)
        head = await platform.store.head(run_key(platform, run))  # the bug: the head is new, the history is not
        try:
            return await claiming._claim_at(platform, run, worker, solo, agents, history, head)
        except Fenced:
            continue
    return None


async def _create_then_index(platform: Platform, run: str, new: NewRun) -> bool:
    created = await create_run(platform, run, new)
    if created:
        await platform.clock.sleep(0.02)
        await post(platform, run, ev.MailWake("created", run))  # the bug: a crash before this, and nobody ever looks
    return created


def _without_hint(*arguments: Any) -> Append:
    return make_append(*arguments[:5])


_numbers = itertools.count()


def _by_chance(*parts: str) -> str:
    return "run_" + hashlib.sha256(f"{parts}{next(_numbers)}".encode()).hexdigest()[:26]


def _write(function: Any) -> list[Patch]:
    return [Patch(StreamWriter, "_write", function)]


MUTANTS = [
    Mutant("skip-the-fence", "a worker that lost its run follows the head and appends on", "steps", "zombies",
           lambda: _write(_follow_the_head)),
    Mutant("acknowledge-early", "events count as recorded before they are durable", "steps", "crashes",
           lambda: _write(_answer_first)),
    Mutant("acknowledge-failed-commit", "a commit that failed is answered as one that succeeded", "steps", "disk",
           lambda: [Patch(GroupCommit, "failed", _fail_as_committed)]),
    Mutant("reuse-a-number", "two appends of one batch get the same sequence number", "waits", "zombies",
           lambda: [Patch(GroupCommit, "decide", _decide_on_old_ends)], shown_by=10),
    Mutant("rollback-neighbours", "one conflict rolls back the whole batch, acknowledged all the same", "waits",
           "zombies", lambda: [Patch(GroupCommit, "decide", _roll_back_all)]),
    Mutant("late-write", "after an unknown outcome that reads back as absent, the events are written under a new id",
           "steps", "network", lambda: _write(_make_anew)),
    Mutant("head-moved", "an unknown outcome counts as success because the head moved", "steps", "everything",
           lambda: [*everywhere("settle_append", _moved_is_mine, *_SETTLERS[1:]), *_write(_moved_is_mine_first)]),
    Mutant("stale-history", "a claim is appended at the new head with the history read before", "doubt", "zombies",
           lambda: everywhere("claim", _claim_with_old_history, "cell.worker"), shown_by=12),
    Mutant("doorbell-lost", "a run is made known by a second write, which a crash after its creation loses", "families",
           "crashes", lambda: [Patch(create, "make_append", _without_hint),
                               *everywhere("create_run", _create_then_index, "agent.control", "agent.handover",
                                           "agent.wait")]),
    Mutant("key-ignored", "the same request again is another run", "steps", "network",
           lambda: everywhere("derived_run_id", _by_chance, "agent.control")),
    Mutant("successor-by-chance", "a run that continues as new has another successor after each crash", "chains",
           "crashes", lambda: everywhere("derived_run_id", _by_chance, "agent.handover"), shown_by=54),
]  # fmt: skip
"""The journal's."""
