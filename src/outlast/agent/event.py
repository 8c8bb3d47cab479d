"""The events of runs, inboxes, sessions and agents: what the journal holds for ever.

Every event carries its schema version `v`; a field with its default is left out, so defaults are part of the schema.
To change one: raise its version, add an upcaster to `_UPCASTERS` that turns the old dictionary into the new one, record
a history of the old version under `tests/histories/`. Nothing is deleted.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from outlast.agent.letter import INBOX, Mail, MailCancel, MailLost, MailRedrive, MailResolve, MailSignal, MailWake
from outlast.journal.blob import Payload
from outlast.journal.event import Event, version_field, versions
from outlast.journal.record import Reader, Upcaster

__all__ = ["INBOX", "Mail", "MailCancel", "MailLost", "MailRedrive", "MailResolve", "MailSignal", "MailWake"]
"""Those of the inbox, so that all events have one name space."""

Kind = Literal["tool", "step", "model", "sleep", "signal", "child"]
By = Literal["call", "verify", "person"]
"""Who said what became of a step."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception as it is recorded: qualified class name, text, constructor arguments if they have a JSON form."""

    type: str
    message: str
    data: Any = None
    retryable: bool = False


# -- a run ----------------------------------------------------------------------------------------------------------


class RunCreated(Event, frozen=True, tag="run.created"):
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
    v: int = version_field(1)


class RunClaimed(Event, frozen=True, tag="run.claimed"):
    worker: str
    claim: int
    fruitless: int
    """How many claims just before this one led to no event."""
    solo: bool = False
    v: int = version_field(1)


class RunTrial(Event, frozen=True, tag="run.trial"):
    """Its claims came to nothing: it is to be tried alone."""

    claims: int
    v: int = version_field(1)


class RunParked(Event, frozen=True, tag="run.parked"):
    reason: str
    wake_at: float
    v: int = version_field(1)


class RunReleased(Event, frozen=True, tag="run.released"):
    """A worker that is stopping lets go of it."""

    worker: str
    v: int = version_field(1)


class RunHeld(Event, frozen=True, tag="run.held"):
    code: str
    reason: str
    place: str = ""
    mail: int = 0
    """The letter that this refuses: a resolution that cannot be used."""
    seen: int = 0
    """The last letter that had been read: a redrive counts only if it came after that."""
    v: int = version_field(1)


class RunQuarantined(Event, frozen=True, tag="run.quarantined"):
    claims: int
    reason: str
    v: int = version_field(1)


class RunRedriven(Event, frozen=True, tag="run.redriven"):
    mail: int
    v: int = version_field(1)


class RunLost(Event, frozen=True, tag="run.lost"):
    """Acknowledged events `first` to `last`, of its history or of its inbox, are gone: a failover lost them, or the
    journal was restored to an earlier instant (then `last` is below `first` if nobody knows whether there were any).

    Of its history: from here on each `once` step may have been done already, and nobody remembers.
    """

    of: Literal["run", "inbox"]
    first: int
    last: int
    mail: int
    worker: str = ""
    """Who may have acted, if it is known."""
    cause: Literal["failover", "restore"] = "failover"
    v: int = version_field(1)


class RunCancelling(Event, frozen=True, tag="run.cancelling"):
    mail: int
    reason: str
    v: int = version_field(1)


class SessionChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a turn changed: messages said, keys of the state set and removed."""

    messages: list[tuple[str, str]] = []
    state: dict[str, msgspec.Raw] = {}
    removed: list[str] = []


class RunCompleted(Event, frozen=True, tag="run.completed"):
    value: Payload
    session: Payload | None = None
    """A SessionChange."""
    v: int = version_field(1)


class RunFailed(Event, frozen=True, tag="run.failed"):
    error: Failure
    place: str = ""
    name: str = ""
    attempt: int = 0
    v: int = version_field(1)


class RunCancelledEvent(Event, frozen=True, tag="run.cancelled"):
    reason: str
    v: int = version_field(1)


class RunContinuing(Event, frozen=True, tag="run.continuing"):
    """Its code has asked to continue as new: `run` is made next, and then this run ends."""

    run: str
    input: Payload
    deadline_at: float
    v: int = version_field(1)


class RunContinued(Event, frozen=True, tag="run.continued"):
    run: str
    v: int = version_field(1)


# -- its steps ------------------------------------------------------------------------------------------------------


class StepIntended(Event, frozen=True, tag="step.intended"):
    place: str
    name: str
    args: str
    attempt: int
    key: str
    settle_s: float
    v: int = version_field(1)


class StepRetried(Event, frozen=True, tag="step.retried"):
    """An attempt failed and another one follows, not before `next_at`."""

    place: str
    name: str
    attempt: int
    error: Failure
    next_at: float
    v: int = version_field(1)


class StepDoubted(Event, frozen=True, tag="step.doubted"):
    place: str
    attempt: int
    reason: str
    error: Failure | None = None
    v: int = version_field(1)


class StepCleared(Event, frozen=True, tag="step.cleared"):
    """Its effect surely did not happen, and the old executor cannot act any more: another attempt is allowed."""

    place: str
    attempt: int
    by: Literal["verify", "person"]
    mail: int = 0
    v: int = version_field(1)


class StepDone(Event, frozen=True, tag="step.done"):
    place: str
    name: str
    args: str
    started_at: float
    value: Payload
    kind: Kind = "tool"
    attempt: int = 1
    by: By = "call"
    mail: int = 0
    tokens: int = 0
    usd: float = 0.0
    uses: tuple[str, ...] = ()
    """The guards and model endpoints that it asked, and what its tool named itself."""
    v: int = version_field(1)


class StepFailedEvent(Event, frozen=True, tag="step.failed"):
    place: str
    name: str
    args: str
    started_at: float
    error: Failure
    kind: Kind = "tool"
    attempt: int = 1
    by: Literal["call", "person"] = "call"
    mail: int = 0
    uses: tuple[str, ...] = ()
    """As in StepDone."""
    v: int = version_field(1)


class StepAbandoned(Event, frozen=True, tag="step.abandoned"):
    """Agent code cancelled it."""

    place: str
    name: str
    v: int = version_field(1)


class StepDrifted(Event, frozen=True, tag="step.drifted"):
    """The code asks with other arguments than the recorded step had; the recorded result stands."""

    place: str
    name: str
    was: str
    now: str
    v: int = version_field(1)


class TimerSet(Event, frozen=True, tag="timer.set"):
    place: str
    fire_at: float
    v: int = version_field(1)


class TimerFired(Event, frozen=True, tag="timer.fired"):
    place: str
    v: int = version_field(1)


class SignalAwaited(Event, frozen=True, tag="signal.awaited"):
    place: str
    name: str
    deadline_at: float
    v: int = version_field(1)


class SignalConsumed(Event, frozen=True, tag="signal.consumed"):
    place: str
    name: str
    id: str
    mail: int
    value: Payload
    v: int = version_field(1)


class SignalTimedOut(Event, frozen=True, tag="signal.timed_out"):
    place: str
    name: str
    v: int = version_field(1)


class ChildStarted(Event, frozen=True, tag="child.started"):
    place: str
    name: str
    run: str
    args: str
    v: int = version_field(1)


class VersionMarked(Event, frozen=True, tag="version.marked"):
    place: str
    name: str
    version: int
    v: int = version_field(1)


RunEvent = (
    RunCreated
    | RunClaimed
    | RunTrial
    | RunParked
    | RunReleased
    | RunHeld
    | RunQuarantined
    | RunRedriven
    | RunLost
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


# -- sessions and agents --------------------------------------------------------------------------------------------


class TurnQueued(Event, frozen=True, tag="turn.queued"):
    run: str
    v: int = version_field(1)


class TurnSkipped(Event, frozen=True, tag="turn.skipped"):
    """Later turns do not wait for this held one, and its change, should it still end, is not part of the session."""

    run: str
    v: int = version_field(1)


class SessionExpired(Event, frozen=True, tag="session.expired"):
    """Everything before is over; what follows begins with an empty state."""

    idle_s: float
    v: int = version_field(1)


SessionEvent = TurnQueued | TurnSkipped | SessionExpired


class AgentStopped(Event, frozen=True, tag="agent.stopped"):
    reason: str
    v: int = version_field(1)


class AgentResumed(Event, frozen=True, tag="agent.resumed"):
    v: int = version_field(1)


AgentEvent = AgentStopped | AgentResumed

_UPCASTERS: dict[tuple[str, int], Upcaster] = {}

RUN: Reader[RunEvent] = Reader(RunEvent, _UPCASTERS, versions(RunEvent))
SESSION: Reader[SessionEvent] = Reader(SessionEvent, _UPCASTERS, versions(SessionEvent))
AGENT: Reader[AgentEvent] = Reader(AgentEvent, _UPCASTERS, versions(AgentEvent))
