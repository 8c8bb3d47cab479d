"""The events of runs, inboxes, sessions and agents: what the journal holds for ever.

Every event carries its schema version `v`. To change one: raise its version, add an upcaster to `_UPCASTERS` that turns
the old dictionary into the new one, record a history of the old version under `tests/histories/`. Nothing is deleted.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from outlast.journal.blob import Payload
from outlast.journal.record import Reader, Upcaster

Kind = Literal["tool", "step", "model", "sleep", "signal", "child"]


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception as it is recorded: qualified class name, text, constructor arguments if they have a JSON form."""

    type: str
    message: str
    data: Any = None
    retryable: bool = False


class _Event(msgspec.Struct, frozen=True, tag_field="type"):
    pass


# -- a run ----------------------------------------------------------------------------------------------------------


class RunCreated(_Event, frozen=True, tag="run.created"):
    agent: str
    input: Payload
    """``{"args": [...], "kwargs": {...}}``"""
    digest: str
    pool: str
    deadline_at: float
    session: str = ""
    key: str = ""
    parent: str = ""
    parent_place: str = ""
    continued_from: str = ""
    v: int = 1


class RunClaimed(_Event, frozen=True, tag="run.claimed"):
    worker: str
    claim: int
    fruitless: int
    """How many claims just before this one led to no event."""
    solo: bool = False
    v: int = 1


class RunTrial(_Event, frozen=True, tag="run.trial"):
    """Its claims came to nothing: it is to be tried alone."""

    claims: int
    v: int = 1


class RunParked(_Event, frozen=True, tag="run.parked"):
    reason: str
    wake_at: float
    v: int = 1


class RunReleased(_Event, frozen=True, tag="run.released"):
    """A worker that is stopping lets go of it."""

    worker: str
    v: int = 1


class RunHeld(_Event, frozen=True, tag="run.held"):
    code: str
    reason: str
    place: str = ""
    mail: int = 0
    """The letter that this refuses: a resolution that cannot be used."""
    seen: int = 0
    """The last letter that had been read: a redrive counts only if it came after that."""
    v: int = 1


class RunQuarantined(_Event, frozen=True, tag="run.quarantined"):
    claims: int
    reason: str
    v: int = 1


class RunRedriven(_Event, frozen=True, tag="run.redriven"):
    mail: int
    v: int = 1


class RunCancelling(_Event, frozen=True, tag="run.cancelling"):
    mail: int
    reason: str
    v: int = 1


class SessionChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a turn changed: messages said, keys of the state set and removed."""

    messages: list[tuple[str, str]] = []
    state: dict[str, msgspec.Raw] = {}
    removed: list[str] = []


class RunCompleted(_Event, frozen=True, tag="run.completed"):
    value: Payload
    session: Payload | None = None
    """A SessionChange."""
    v: int = 1


class RunFailed(_Event, frozen=True, tag="run.failed"):
    error: Failure
    place: str = ""
    name: str = ""
    attempt: int = 0
    v: int = 1


class RunCancelledEvent(_Event, frozen=True, tag="run.cancelled"):
    reason: str
    v: int = 1


class RunContinuing(_Event, frozen=True, tag="run.continuing"):
    """Its code has asked to continue as new: `run` is made next, and then this run ends."""

    run: str
    input: Payload
    deadline_at: float
    v: int = 1


class RunContinued(_Event, frozen=True, tag="run.continued"):
    run: str
    v: int = 1


# -- its steps ------------------------------------------------------------------------------------------------------


class StepIntended(_Event, frozen=True, tag="step.intended"):
    place: str
    name: str
    args: str
    attempt: int
    key: str
    settle_s: float
    v: int = 1


class StepRetried(_Event, frozen=True, tag="step.retried"):
    """An attempt failed and another one follows, not before `next_at`."""

    place: str
    name: str
    attempt: int
    error: Failure
    next_at: float
    v: int = 1


class StepDoubted(_Event, frozen=True, tag="step.doubted"):
    place: str
    attempt: int
    reason: str
    error: Failure | None = None
    v: int = 1


class StepCleared(_Event, frozen=True, tag="step.cleared"):
    """Its effect surely did not happen, and the old executor cannot act any more: another attempt is allowed."""

    place: str
    attempt: int
    by: Literal["verify", "person"]
    mail: int = 0
    v: int = 1


class StepDone(_Event, frozen=True, tag="step.done"):
    place: str
    name: str
    kind: Kind
    args: str
    attempt: int
    started_at: float
    value: Payload
    by: Literal["call", "verify", "person"] = "call"
    mail: int = 0
    tokens: int = 0
    usd: float = 0.0
    v: int = 1


class StepFailedEvent(_Event, frozen=True, tag="step.failed"):
    place: str
    name: str
    kind: Kind
    args: str
    attempt: int
    started_at: float
    error: Failure
    by: Literal["call", "person"] = "call"
    mail: int = 0
    v: int = 1


class StepAbandoned(_Event, frozen=True, tag="step.abandoned"):
    """Agent code cancelled it."""

    place: str
    name: str
    v: int = 1


class StepDrifted(_Event, frozen=True, tag="step.drifted"):
    """The code asks with other arguments than the recorded step had; the recorded result stands."""

    place: str
    name: str
    was: str
    now: str
    v: int = 1


class TimerSet(_Event, frozen=True, tag="timer.set"):
    place: str
    fire_at: float
    v: int = 1


class TimerFired(_Event, frozen=True, tag="timer.fired"):
    place: str
    v: int = 1


class SignalAwaited(_Event, frozen=True, tag="signal.awaited"):
    place: str
    name: str
    deadline_at: float
    v: int = 1


class SignalConsumed(_Event, frozen=True, tag="signal.consumed"):
    place: str
    name: str
    id: str
    mail: int
    value: Payload
    v: int = 1


class SignalTimedOut(_Event, frozen=True, tag="signal.timed_out"):
    place: str
    name: str
    v: int = 1


class ChildStarted(_Event, frozen=True, tag="child.started"):
    place: str
    name: str
    run: str
    args: str
    v: int = 1


class VersionMarked(_Event, frozen=True, tag="version.marked"):
    place: str
    name: str
    version: int
    v: int = 1


RunEvent = (
    RunCreated
    | RunClaimed
    | RunTrial
    | RunParked
    | RunReleased
    | RunHeld
    | RunQuarantined
    | RunRedriven
    | RunCancelling
    | RunCompleted
    | RunFailed
    | RunCancelledEvent
    | RunContinuing
    | RunContinued
    | StepIntended
    | StepRetried
    | StepDoubted
    | StepCleared
    | StepDone
    | StepFailedEvent
    | StepAbandoned
    | StepDrifted
    | TimerSet
    | TimerFired
    | SignalAwaited
    | SignalConsumed
    | SignalTimedOut
    | ChildStarted
    | VersionMarked
)
RunEnd = RunCompleted | RunFailed | RunCancelledEvent | RunContinued


# -- its inbox ------------------------------------------------------------------------------------------------------


class MailSignal(_Event, frozen=True, tag="mail.signal"):
    id: str
    name: str
    value: Payload
    v: int = 1


class MailCancel(_Event, frozen=True, tag="mail.cancel"):
    id: str
    reason: str
    v: int = 1


class MailResolve(_Event, frozen=True, tag="mail.resolve"):
    id: str
    place: str
    how: Literal["done", "retry", "fail"]
    value: Payload
    message: str
    attempt: int = 0
    """The attempt that was in doubt when it was decided; 0: whichever is."""
    v: int = 1


class MailRedrive(_Event, frozen=True, tag="mail.redrive"):
    id: str
    v: int = 1


class MailWake(_Event, frozen=True, tag="mail.wake"):
    """Another run ended that this one may wait for: its child, or the turn before it."""

    id: str
    run: str
    v: int = 1


Mail = MailSignal | MailCancel | MailResolve | MailRedrive | MailWake


# -- sessions and agents --------------------------------------------------------------------------------------------


class TurnQueued(_Event, frozen=True, tag="turn.queued"):
    run: str
    v: int = 1


class TurnSkipped(_Event, frozen=True, tag="turn.skipped"):
    """Later turns do not wait for this held one, and its change, should it still end, is not part of the session."""

    run: str
    v: int = 1


class SessionExpired(_Event, frozen=True, tag="session.expired"):
    """Everything before is over; what follows begins with an empty state."""

    idle_s: float
    v: int = 1


SessionEvent = TurnQueued | TurnSkipped | SessionExpired


class AgentStopped(_Event, frozen=True, tag="agent.stopped"):
    reason: str
    v: int = 1


class AgentResumed(_Event, frozen=True, tag="agent.resumed"):
    v: int = 1


AgentEvent = AgentStopped | AgentResumed

_UPCASTERS: dict[tuple[str, int], Upcaster] = {}


def _versions(union: Any) -> dict[str, int]:
    return {member.__struct_config__.tag: _version(member) for member in union.__args__}


def _version(member: Any) -> int:
    return next(field.default for field in msgspec.structs.fields(member) if field.name == "v")


RUN: Reader[RunEvent] = Reader(RunEvent, _UPCASTERS, _versions(RunEvent))
INBOX: Reader[Mail] = Reader(Mail, _UPCASTERS, _versions(Mail))
SESSION: Reader[SessionEvent] = Reader(SessionEvent, _UPCASTERS, _versions(SessionEvent))
AGENT: Reader[AgentEvent] = Reader(AgentEvent, _UPCASTERS, _versions(AgentEvent))
