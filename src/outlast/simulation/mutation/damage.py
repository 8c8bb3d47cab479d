"""Bugs that show when something is damaged, lost for good, far away, or answers nonsense."""

# ruff: noqa: SLF001 (it stands in for what it replaces, and sees what that sees)
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from outlast.agent.attempt import in_thread, on_loop
from outlast.agent.doubt import Doubt
from outlast.agent.platform import Platform
from outlast.cell.sweep import Sweep
from outlast.journal import audit
from outlast.journal.anchor import AnchorStore
from outlast.journal.audit import Report
from outlast.journal.blob import BlobRef, BlobStore, Payload
from outlast.journal.index import HintPatch
from outlast.journal.stream import Head
from outlast.kernel.error import StoreError
from outlast.model.answer import Answer, to_answer
from outlast.model.endpoint import Completion
from outlast.model.output import OutputInvalid
from outlast.policy.budget import Budget, Spent, exceeded
from outlast.simulation.endpoint import Said
from outlast.simulation.mutation.patch import Mutant, Patch, everywhere

_act_until = Doubt._act_until
_lacking = Sweep._lacking
_patience = 100.0


def _take_as_it_is(ref: BlobRef, content: bytes) -> bytes:
    return content


async def _store_later(raw: bytes, blobs: BlobStore) -> Payload:
    asyncio.get_running_loop().create_task(blobs.put(raw)).add_done_callback(lambda task: task.exception())
    return Payload(blob=BlobRef.of(raw))  # the bug: the event that names it may be durable first


def _fits_any_anchor(stream: str, head: Head, anchor: Head | None, marks: dict[int, bytes], report: Report) -> None:
    return None


async def _without_anchors(anchors: AnchorStore | None, report: Report) -> dict[str, Head]:
    try:
        return {} if anchors is None else await anchors.all()
    except StoreError:
        return {}  # the bug: nobody is told that nothing was compared


async def _walk_nowhere(self: Sweep) -> int:
    return 0


async def _ready_if_unknown(self: Sweep, run: str) -> HintPatch | None:
    entry = await self._platform.index.entry(run)
    return await _lacking(self, run) if entry is None else None  # the bug: an entry that is there is taken to be right


def _whatever_it_says(completion: Completion, kind: Any = str, *, degraded: bool = False) -> Answer[Any]:
    try:
        return to_answer(completion, kind, degraded=degraded)
    except OutputInvalid:
        return Answer(Said(completion.text), completion.usage, 0.00005, model=completion.model)


async def _on_loop_for_ever(function: Any, arguments: Any, keywords: Any, timeout_s: float, what: object) -> Any:
    return await on_loop(function, arguments, keywords, timeout_s * _patience, what)


async def _in_thread_for_ever(function: Any, arguments: Any, keywords: Any, timeout_s: float, *others: Any) -> Any:
    return await in_thread(function, arguments, keywords, timeout_s * _patience, *others)


def _free_of_charge(answer: Any) -> tuple[int, float]:
    return answer.usage.input_tokens + answer.usage.output_tokens, 0.0


def _rich(budget: Budget, spent: Spent, grants: int = 0) -> str | None:
    return exceeded(budget, msgspec.structs.replace(spent, usd=spent.usd / 3), grants)


async def _never_stopped(platform: Platform, agent: str) -> str | None:
    return None


def _far(then: Callable[[Doubt, str, float], float]) -> list[Patch]:
    """`then` stands in where nobody can say whether the executor of a step is dead."""

    async def act_until(self: Doubt, place: str, settle_s: float) -> float | None:
        worker = self._history.intents[place].worker
        if worker != self._recorder.worker and not await self._platform.executors.confirm_dead(worker):
            return then(self, place, settle_s)
        return await _act_until(self, place, settle_s)

    return [Patch(Doubt, "_act_until", act_until)]


def _by_the_wall(self: Doubt, place: str, settle_s: float) -> float:
    return max(0.0, self._history.intents[place].at + settle_s - self._platform.clock.now())


MUTANTS = [
    Mutant("trust-the-blob", "what a blob store gives is not compared with its name", "payloads", "rot",
           lambda: everywhere("check_content", _take_as_it_is, "adapters.memory.blob")),
    Mutant("blob-after-event", "an event is appended before the blob that it names is durable", "payloads", "crashes",
           lambda: everywhere("store_payload", _store_later, "agent.perform")),
    Mutant("audit-without-heads", "the audit does not compare streams with their anchored heads", "steps", "rot",
           lambda: [Patch(audit, "_against_anchor", _fits_any_anchor)]),
    Mutant("audit-without-anchors", "the audit says nothing of anchors that cannot be read", "steps", "rot",
           lambda: [Patch(audit, "_anchored", _without_anchors)], shown_by=6),
    Mutant("no-sweep", "hints that are lost for good are never written again", "steps", "amnesia",
           lambda: [Patch(Sweep, "walk", _walk_nowhere)]),
    Mutant("sweep-trusts-entries", "the sweep looks only at runs that the index does not know", "waits", "amnesia",
           lambda: [Patch(Sweep, "_lacking", _ready_if_unknown)]),
    Mutant("trust-the-model", "an answer that cannot be read is handed to agent code", "answers", "none",
           lambda: everywhere("to_answer", _whatever_it_says, "agent.asking")),
    Mutant("wait-for-ever", "attempts are not ended at their deadline", "answers", "none",
           lambda: [*everywhere("on_loop", _on_loop_for_ever, "agent.perform"),
                    *everywhere("in_thread", _in_thread_for_ever, "agent.perform")]),
    Mutant("free-of-charge", "what answers cost is not counted", "money", "none",
           lambda: everywhere("_charges", _free_of_charge, "agent.perform")),
    Mutant("rich", "three times the dollars of a budget may be spent", "money", "none",
           lambda: everywhere("exceeded", _rich, "agent.gate")),
    Mutant("deaf-to-the-switch", "an agent that is stopped goes on", "halts", "none",
           lambda: everywhere("stopped_reason", _never_stopped, "agent.gate")),
    Mutant("far-is-dead", "an executor that does not answer counts as dead", "far", "zombies",
           lambda: _far(lambda self, place, settle_s: 0.0)),
    Mutant("settle-by-the-wall", "the settle time of an executor elsewhere is counted by two hosts' clocks", "far",
           "clocks", lambda: _far(_by_the_wall), shown_by=221),
]  # fmt: skip
"""Those."""
