"""Replaying a run's history against today's code, without effects: would it still follow?

Recorded outcomes are given as in any replay. Where the code asks for something new, the rehearsal stops. Nothing is
written: appends stay in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn

import msgspec

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.attempt import Threads
from outlast.agent.create import run_key
from outlast.agent.execution import Execution
from outlast.agent.history import History
from outlast.agent.platform import Platform
from outlast.agent.recorder import never
from outlast.agent.step import Step
from outlast.journal.blob import BlobRef, BlobStore, load_payload
from outlast.journal.chain import genesis, link
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, EventStore, Head, Notice, Outcome, StoredRecord
from outlast.kernel.error import NotFound

Verdict = Literal["same", "drift", "mismatch"]
"""same: follows the history · drift: follows it with other arguments somewhere · mismatch: asks for something else."""

_page = 2_000


class Drift(msgspec.Struct, frozen=True):
    """A step that the code now calls with other arguments."""

    place: str
    name: str


class Rehearsal(msgspec.Struct, frozen=True):
    """What came of it: the verdict, why, how many recorded outcomes were given, whether the history had ended."""

    run: str
    agent: str
    verdict: Verdict
    reason: str
    outcomes: int
    ended: bool
    drifts: list[Drift]


class _Pretend:
    """An EventStore and SnapshotStore over another: reads go through, appends are applied nowhere."""

    def __init__(self, platform: Platform) -> None:
        self._store: EventStore = platform.store
        self._snapshots = platform.snapshots
        self.events: list[ev.RunEvent] = []

    @property
    def lineage(self) -> Lineage:
        return self._store.lineage

    async def append(self, append: Append) -> Outcome:
        head = Head(append.head, link(append.expected.hash, append.body))
        if append.stream.startswith("run/"):
            record = StoredRecord(append.expected.seq + 1, append.count, append.body, head.hash)
            self.events.extend(ev.RUN.read(append.stream, record).events)
        return Applied(head)

    async def head(self, stream: str) -> Head:
        return await self._store.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        return await self._store.read(stream, after, limit)

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        return await self._store.streams(kind, after, limit)

    def listen(self, listener: Callable[[Sequence[Notice]], None], *, steps: bool = True) -> Callable[[], None]:
        return lambda: None

    async def save(self, snapshot: Snapshot) -> None:
        return None

    async def load(self, stream: str) -> Snapshot | None:
        return await self._snapshots.load(stream)


class _NoNewBlobs:
    """Keeps what is put for as long as the rehearsal lasts."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._new: dict[BlobRef, bytes] = {}

    async def put(self, content: bytes) -> BlobRef:
        ref = BlobRef.of(content)
        self._new[ref] = content
        return ref

    async def get(self, ref: BlobRef) -> bytes:
        return self._new[ref] if ref in self._new else await self._blobs.get(ref)


class _Dry(Execution):
    """An execution that stops where something new would begin."""

    refusal = ""

    async def mail(self) -> None:
        """The inbox is not looked at: acting on it would be new."""

    async def pass_through(self, step: Step) -> None:
        self.release()
        await never()

    async def pass_doubt(self, step: Step) -> None:
        self.release()
        await never()

    async def halt(self, code: str, reason: str) -> NoReturn:
        self.refusal = self.refusal or reason
        self.release()
        return await never()


async def rehearse(app: App[Any], platform: Platform, run: str) -> Rehearsal:
    """Replay `run` against `app`. The app's lifespan is not opened: `run.deps` is None. Raises NotFound."""
    stream = run_key(platform, run)
    history, head, end = await _history_without_end(platform, stream)
    created = history.created
    if created is None:
        raise NotFound(f"run {run} does not exist")
    outcomes = len(history.deliveries)
    agent = app.agents.get(created.agent)
    if agent is None:
        reason = f"its agent {created.agent!r} is not in app {app.name} (there: {', '.join(app.agents) or 'none'})"
        return Rehearsal(run, created.agent, "mismatch", reason, outcomes, end is not None, [])
    history.held.clear()
    history.quarantined = history.cancelling = None
    created = history.created = msgspec.structs.replace(created, deadline_at=0.0)
    pretend, blobs = _Pretend(platform), _NoNewBlobs(platform.blobs)
    dry = _Dry(
        app, agent, _pretending(platform, pretend, blobs), run, stream, "rehearsal", history, head, "rehearsal", None,
        Threads(1), {},
    )  # fmt: skip
    await asyncio.wait_for(dry.run(), platform.settings.step_timeout_s)
    drifts = [Drift(event.place, event.name) for event in pretend.events if isinstance(event, ev.StepDrifted)]
    held = next((event.reason for event in pretend.events if isinstance(event, ev.RunHeld)), "")
    reason = dry.refusal or held or await _other_end(end, pretend.events, blobs)
    verdict: Verdict = "mismatch" if reason else "drift" if drifts else "same"
    return Rehearsal(run, created.agent, verdict, reason, outcomes, end is not None, drifts)


def _pretending(platform: Platform, pretend: _Pretend, blobs: BlobStore) -> Platform:
    return Platform(
        platform.clock, platform.randomness, pretend, platform.index, pretend, blobs,
        platform.executors, platform.endpoints, settings=platform.settings,
    )  # fmt: skip


async def _history_without_end(platform: Platform, stream: str) -> tuple[History, Head, ev.RunEnd | None]:
    history, head = History(), genesis(stream)
    while True:
        records = await platform.store.read(stream, head.seq, _page)
        for record in records:
            envelope = ev.RUN.read(stream, record)
            history.record += 1
            for event in envelope.events:
                if isinstance(event, ev.RunEnd):
                    return history, head, event
                history.apply(event, envelope.at)
            head = Head(record.seq + record.count - 1, record.hash)
        if len(records) < _page:
            return history, head, None


async def _other_end(end: ev.RunEnd | None, events: Sequence[ev.RunEvent], blobs: BlobStore) -> str:
    """In words, how today's end differs from the recorded one; "" if it does not."""
    if not isinstance(end, ev.RunCompleted | ev.RunFailed):
        return ""
    now = next((event for event in events if isinstance(event, ev.RunEnd)), None)
    if now is None:
        return "the code asks for another step where the history ends"
    if type(now) is not type(end):
        return f"the code now ends with {now.__struct_config__.tag}, the history with {end.__struct_config__.tag}"
    if not isinstance(end, ev.RunCompleted) or not isinstance(now, ev.RunCompleted) or end.value == now.value:
        return ""
    # a sealed blob is named by what is stored: the same result may have had another name
    if bytes(await load_payload(end.value, blobs)) != bytes(await load_payload(now.value, blobs)):
        return "the code now returns another result than the history holds"
    return ""
