"""A run as people and programs outside see it: built from its events alone."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.journal.blob import BlobStore, Payload, load_payload
from outlast.journal.record import Envelope
from outlast.kernel.error import NotFound, StoreCorrupt, StoreSealed

_PAYLOADS = ("value", "input", "session")


class EventView(msgspec.Struct, frozen=True):
    """One event: its number, its time in seconds since 1970, its type and its data."""

    seq: int
    at: float
    type: str
    data: dict[str, Any]


class StepView(msgspec.Struct):
    """A step as it stands. States: running, retrying, waiting, in_doubt, held, done, failed, abandoned."""

    place: str
    name: str
    kind: str
    state: str
    attempt: int = 1
    started_at: float = 0.0
    ended_at: float | None = None
    value: Any = None
    error: dict[str, Any] | None = None
    by: str = "call"
    drifted: bool = False


class RunView(msgspec.Struct):
    """A run: how it stands, what it was given, what it gave, and its steps in the order in which they left a trace."""

    run: str
    agent: str
    state: str
    created_at: float
    input: Any = None
    session: str = ""
    key: str = ""
    parent: str = ""
    continued_from: str = ""
    continued_to: str = ""
    deadline_at: float = 0.0
    ended_at: float | None = None
    result: Any = None
    error: dict[str, Any] | None = None
    reason: str = ""
    owner: str = ""
    claims: int = 0
    seq: int = 0
    tokens: int = 0
    usd: float = 0.0
    steps: list[StepView] = []


def _failure(error: ev.Failure) -> dict[str, Any]:
    return {"type": error.type, "message": error.message}


async def _value(payload: Payload, blobs: BlobStore) -> Any:
    try:
        return msgspec.json.decode(await load_payload(payload, blobs))
    except (NotFound, StoreCorrupt, StoreSealed) as error:  # what else there is to see is shown all the same
        return {"unreadable": str(error)}


class _Viewer:
    def __init__(self, run: str, blobs: BlobStore) -> None:
        self.view = RunView(run, "", "ready", 0.0)
        self._blobs = blobs
        self._steps: dict[str, StepView] = {}
        self._reasons: dict[str, str] = {}
        """Why the run was held last, by place; "" for the whole run. A claim in between does not change it."""
        self._is_whole = False
        """Whether the run as a whole is held: steps that end meanwhile do not change it."""

    def _step(self, place: str, name: str, kind: str, at: float) -> StepView:
        step = self._steps.get(place)
        if step is None:
            step = self._steps[place] = StepView(place, name, kind, "running", started_at=at)
            self.view.steps.append(step)
        return step

    async def take(self, event: ev.RunEvent, at: float) -> None:  # noqa: C901 # one case for each event
        view = self.view
        match event:
            case ev.RunCreated():
                view.agent, view.created_at, view.session, view.key = event.agent, at, event.session, event.key
                view.parent, view.continued_from, view.deadline_at = (
                    event.parent,
                    event.continued_from,
                    event.deadline_at,
                )
                view.input = await _value(event.input, self._blobs)
            case ev.RunClaimed():
                view.state, view.owner, view.claims, view.reason = "running", event.worker, event.claim, ""
            case ev.RunTrial():
                view.state, view.owner, view.reason = "trial", "", "to be tried alone"
            case ev.RunParked():
                still = event.reason.startswith("still ")
                view.state = event.reason.removeprefix("still ") if still else self._parked()
                view.reason = self._reasons.get("", "") if still else self._step_reason()
            case ev.RunReleased():
                view.state, view.owner = "ready", ""
            case ev.RunHeld():
                view.state, view.reason = "held", event.reason
                self._reasons[event.place] = event.reason
                self._is_whole = self._is_whole or not event.place
                if event.place in self._steps:
                    self._steps[event.place].state = "held"
            case ev.RunQuarantined():
                view.state, view.reason, view.owner = "quarantined", event.reason, ""
                self._reasons[""] = event.reason
            case ev.RunRedriven():
                view.state, view.reason = "running", ""
                self._is_whole = False
            case ev.RunCancelling():
                view.reason = f"being cancelled: {event.reason}"
            case ev.RunCompleted():
                view.state, view.ended_at, view.reason = "completed", at, ""
                view.result = await _value(event.value, self._blobs)
            case ev.RunFailed():
                where = {"step": event.place, "name": event.name, "attempt": event.attempt} if event.place else {}
                view.state, view.ended_at, view.error = "failed", at, _failure(event.error) | where
            case ev.RunCancelledEvent():
                view.state, view.ended_at, view.reason = "cancelled", at, event.reason
            case ev.RunContinued():
                view.state, view.ended_at, view.continued_to = "continued", at, event.run
            case ev.VersionMarked():
                pass
            case _:
                await self._take_step(event, at)

    async def _take_step(self, event: Any, at: float) -> None:  # noqa: C901 # one case for each event
        match event:
            case ev.StepIntended():
                step = self._step(event.place, event.name, "tool", at)
                step.state, step.attempt = "running", event.attempt
            case ev.StepRetried():
                step = self._step(event.place, event.name, "", at)
                step.state, step.attempt, step.error = "retrying", event.attempt, _failure(event.error)
            case ev.StepDoubted():
                self._steps[event.place].state = "in_doubt"
            case ev.StepCleared():
                self._running(event.place)
            case ev.StepDone():
                step = self._step(event.place, event.name, event.kind, event.started_at)
                step.kind, step.state, step.attempt, step.ended_at = event.kind, "done", event.attempt, at
                step.value, step.error, step.by = await _value(event.value, self._blobs), None, event.by
                self.view.tokens += event.tokens
                self.view.usd += event.usd
                self._unhold()
            case ev.StepFailedEvent():
                step = self._step(event.place, event.name, event.kind, event.started_at)
                step.kind, step.state, step.attempt, step.ended_at = event.kind, "failed", event.attempt, at
                step.error, step.by = _failure(event.error), event.by
                self._unhold()
            case ev.StepAbandoned():
                step = self._step(event.place, event.name, "", at)
                if step.state not in ("in_doubt", "held"):  # else it is still to be settled whether it happened
                    step.state = "abandoned"
            case ev.StepDrifted():
                self._steps[event.place].drifted = True
            case ev.TimerSet():
                self._step(event.place, "sleep", "sleep", at).state = "waiting"
            case ev.ChildStarted():
                self._step(event.place, event.name, "child", at).state = "waiting"
            case ev.TimerFired():
                self._ended(event.place, at, None)
            case ev.SignalAwaited():
                self._step(event.place, f"signal:{event.name}", "signal", at).state = "waiting"
            case ev.SignalConsumed():
                self._step(event.place, f"signal:{event.name}", "signal", at)
                self._ended(event.place, at, await _value(event.value, self._blobs))
            case ev.SignalTimedOut():
                step = self._step(event.place, f"signal:{event.name}", "signal", at)
                step.state, step.ended_at = "failed", at
                step.error = {"type": "outlast.StepTimeout", "message": "no signal came in time"}
            case _:
                pass

    def _parked(self) -> str:
        """A parked run that waits for a person alone is held."""
        states = {step.state for step in self._steps.values()}
        return "held" if "held" in states and "waiting" not in states else "parked"

    def _step_reason(self) -> str:
        held = (step.place for step in self._steps.values() if step.state == "held")
        return self._reasons.get(next(held, ""), "") if self.view.state == "held" else ""

    def _running(self, place: str) -> None:
        self._steps[place].state = "running"
        self._unhold()

    def _unhold(self) -> None:
        """A held run is one that still has a held step; what holds the whole run ends with `run.redriven`."""
        if self.view.state != "held" or self._is_whole:  # asked first: there may be very many steps
            return
        if not any(step.state == "held" for step in self.view.steps):
            self.view.state, self.view.reason = "running", ""

    def _ended(self, place: str, at: float, value: Any) -> None:
        step = self._steps[place]
        step.state, step.ended_at, step.value = "done", at, value


async def view_of(run: str, envelopes: AsyncIterable[Envelope[ev.RunEvent]], blobs: BlobStore) -> RunView:
    """The run that these events tell of."""
    viewer = _Viewer(run, blobs)
    async for envelope in envelopes:
        for event in envelope.events:
            await viewer.take(event, envelope.at)
        viewer.view.seq = envelope.seq + len(envelope.events) - 1
    return viewer.view


def payload_bytes(event: ev.RunEvent) -> int:
    """The size of what an event carries, before anything is read from the blob store."""
    carried = (getattr(event, name, None) for name in _PAYLOADS)
    payloads = (payload for payload in carried if isinstance(payload, Payload))
    return sum(len(bytes(payload.json)) if payload.blob is None else payload.blob.size for payload in payloads)


async def event_view(seq: int, at: float, event: ev.RunEvent, blobs: BlobStore) -> EventView:
    """One event with its payloads read."""
    data: dict[str, Any] = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Payload):
            data[name] = await _value(value, blobs)
        elif value is not None:
            data[name] = msgspec.to_builtins(value) if not isinstance(value, ev.Failure) else _failure(value)
    return EventView(seq, at, str(event.__struct_config__.tag), data)
