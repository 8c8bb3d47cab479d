"""A run's history folded into what replay asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from outlast.agent import event as ev
from outlast.journal.record import Envelope
from outlast.kernel.error import invariant

Outcome = ev.StepDone | ev.StepFailedEvent | ev.TimerFired | ev.SignalConsumed | ev.SignalTimedOut


class Settled(msgspec.Struct, frozen=True):
    """How a step ended, and when."""

    event: Outcome
    at: float


class Intent(msgspec.Struct, frozen=True):
    """A `once` step whose effect may have begun: when, by which worker."""

    event: ev.StepIntended
    at: float
    worker: str


_NO_PROGRESS = {ev.RunClaimed, ev.RunTrial}


class History:
    """What has happened in one run. `apply` is the only way in, live as in replay."""

    def __init__(self) -> None:
        self.created: ev.RunCreated | None = None
        self.created_at = 0.0
        self.last_at = 0.0
        self.events = 0
        self.names: dict[str, str] = {}
        self.outcomes: dict[str, Settled] = {}
        self.deliveries: list[str] = []
        """Places in the order in which their outcomes were recorded."""
        self.records: list[int] = []
        """The number of the record that each of them stands in."""
        self.record = 0
        """The number of the record that is being folded in: who reads or writes one counts it up."""
        self.intents: dict[str, Intent] = {}
        """Open ones only: an outcome or a clearance removes them."""
        self.doubts: dict[str, ev.StepDoubted] = {}
        self.attempts: dict[str, int] = {}
        """The number of the last attempt that ended without an outcome."""
        self.next_at: dict[str, float] = {}
        self.errors: dict[str, ev.Failure] = {}
        """The last error of an attempt."""
        self.crashes: dict[str, int] = {}
        """How often an attempt ended with its worker, without effect."""
        self.forgiven: dict[str, int] = {}
        """Attempts that do not count against the step's bound: crashes, and all before a person allowed another."""
        self.abandoned: set[str] = set()
        self.held: dict[str, ev.RunHeld] = {}
        """Why the run is held, by place; "" for the whole run."""
        self.timers: dict[str, float] = {}
        self.awaited: dict[str, ev.SignalAwaited] = {}
        self.versions: dict[str, int] = {}
        self.drifts: set[tuple[str, str]] = set()
        self.last_ordinal: dict[str, int] = {}
        """By scope prefix, the highest ordinal that left a trace."""
        self.children: dict[str, ev.ChildStarted] = {}
        """Child runs whose end has not been seen, by place."""
        self.consumed: dict[str, int] = {}
        """Numbers of the signals that steps have taken, by place."""
        self.resolved: dict[str, int] = {}
        """The last decision about a step that has been acted on, by place."""
        self.mail: set[int] = set()
        """Numbers of inbox events that have been acted on."""
        self.claims = 0
        self.owner = ""
        self.previous = ""
        """Who owned it before the last claim; "" if nobody did."""
        self.lost: ev.RunLost | None = None
        """The last loss of events of this history."""
        self.checked: set[str] = set()
        """`once` steps of which it was asked, since that loss, whether they had been done."""
        self.presumed: set[str] = set()
        """Those of them whose intent only says that they may have been done."""
        self.fruitless = 0
        """Claims at the end of the history that led to nothing."""
        self.trials = 0
        """How many of them were trials alone in a worker."""
        self.on_trial = False
        """A worker of its own has been asked for, and has not claimed it yet."""
        self.redrives_from = 0
        """Redrives up to this number in the inbox are spent, or came before what holds it now."""
        self.quarantined: ev.RunQuarantined | None = None
        self.grants = 0
        """How often a person has granted the budget once more."""
        self.steps = 0
        self.tokens = 0
        self.usd = 0.0
        self.cancelling: ev.RunCancelling | None = None
        self.continuing: ev.RunContinuing | None = None
        self.ended: ev.RunEnd | None = None
        self.ended_at = 0.0

    def apply_all(self, envelopes: Iterable[Envelope[ev.RunEvent]]) -> None:
        for envelope in envelopes:
            self.record += 1
            for event in envelope.events:
                self.apply(event, envelope.at)

    def may_be_done(self, place: str) -> bool:
        """Whether a `once` step may have been done although nothing here says so: what said it may be lost."""
        return self.lost is not None and place not in self.checked

    def record_of(self, place: str) -> int:
        """The number of the record in which the last outcome of a step stands; 0: in none."""
        for index in range(len(self.deliveries) - 1, -1, -1):
            if self.deliveries[index] == place:
                return self.records[index]
        return 0

    def apply(self, event: ev.RunEvent, at: float) -> None:
        """Fold one event in."""
        self.events += 1
        self.last_at = at
        self.on_trial = type(event) is ev.RunTrial
        self._fold[type(event)](self, event, at)
        if type(event) not in _NO_PROGRESS:
            self.fruitless = 0
            self.trials = 0

    def _trace(self, place: str, name: str = "") -> None:
        if name:
            self.names[place] = name
        cut = place.rfind(".") + 1
        prefix, ordinal = place[:cut], int(place[cut:])
        if ordinal > self.last_ordinal.get(prefix, 0):
            self.last_ordinal[prefix] = ordinal
        while prefix:  # a gather leaves its trace by its branches
            parts = prefix[:-1].split(".")
            prefix = ".".join(parts[:-2]) + "." if len(parts) > 2 else ""
            if int(parts[-2]) > self.last_ordinal.get(prefix, 0):
                self.last_ordinal[prefix] = int(parts[-2])

    def _settle(self, place: str, event: Outcome, at: float) -> None:
        invariant(place not in self.outcomes, f"step {place} has two outcomes")
        self.outcomes[place] = Settled(event, at)
        self.deliveries.append(place)
        self.records.append(self.record)
        self.intents.pop(place, None)
        self.doubts.pop(place, None)
        self.held.pop(place, None)
        self.children.pop(place, None)

    # -- one small function for each event ---------------------------------------------------------------------------

    def _created(self, event: ev.RunCreated, at: float) -> None:
        self.created, self.created_at = event, at

    def _claimed(self, event: ev.RunClaimed, at: float) -> None:
        self.claims = event.claim
        self.previous, self.owner = self.owner, event.worker
        self.fruitless += 1
        self.trials += event.solo

    def _released(self, event: ev.RunReleased, at: float) -> None:
        self.owner = ""

    def _nothing(self, event: ev.RunEvent, at: float) -> None:
        return None

    def _held(self, event: ev.RunHeld, at: float) -> None:
        self.held[event.place] = event
        self.redrives_from = max(self.redrives_from, event.seen)
        self._acted(event.place, event.mail)

    def _acted(self, place: str, mail: int) -> None:
        if mail:
            self.mail.add(mail)
            self.resolved[place] = mail

    def _quarantined(self, event: ev.RunQuarantined, at: float) -> None:
        self.quarantined = event

    def _redriven(self, event: ev.RunRedriven, at: float) -> None:
        self.mail.add(event.mail)
        self.redrives_from = max(self.redrives_from, event.mail)
        if any(held.code == "budget_exceeded" for held in self.held.values()):
            self.grants += 1
        self.quarantined = None
        self.held.clear()
        self.crashes.clear()

    def _lost(self, event: ev.RunLost, at: float) -> None:
        self.mail.add(event.mail)
        if event.of == "run":
            worker = event.worker or (self.lost.worker if self.lost is not None else "") or self.previous
            self.lost = msgspec.structs.replace(event, worker=worker)
            self.checked.clear()

    def _cancelling(self, event: ev.RunCancelling, at: float) -> None:
        self.mail.add(event.mail)
        self.cancelling = event

    def _continuing(self, event: ev.RunContinuing, at: float) -> None:
        self.continuing = event

    def _ended(self, event: ev.RunEnd, at: float) -> None:
        self.ended, self.ended_at = event, at

    def _intended(self, event: ev.StepIntended, at: float) -> None:
        self._trace(event.place, event.name)
        worker = self.owner
        if self.may_be_done(event.place):  # not one that begins, but one that may have begun before the loss
            assert self.lost is not None
            worker = self.lost.worker
            self.presumed.add(event.place)
        else:
            self.presumed.discard(event.place)
        self._check(event.place)
        self.intents[event.place] = Intent(event, at, worker)
        self.attempts[event.place] = event.attempt

    def _check(self, place: str) -> None:
        if self.lost is not None:
            self.checked.add(place)

    def _retried(self, event: ev.StepRetried, at: float) -> None:
        self._trace(event.place, event.name)
        self.attempts[event.place] = event.attempt
        self.next_at[event.place] = event.next_at
        self.errors[event.place] = event.error
        self.intents.pop(event.place, None)

    def _doubted(self, event: ev.StepDoubted, at: float) -> None:
        self.doubts[event.place] = event
        if event.error is not None:
            self.errors[event.place] = event.error

    def _cleared(self, event: ev.StepCleared, at: float) -> None:
        self._acted(event.place, event.mail)
        self._check(event.place)
        self.intents.pop(event.place, None)
        doubt = self.doubts.pop(event.place, None)
        if event.by == "person":
            self.forgiven[event.place] = event.attempt
            self.errors.pop(event.place, None)
        elif doubt is None or doubt.error is None:
            self.crashes[event.place] = self.crashes.get(event.place, 0) + 1
            self.forgiven[event.place] = self.forgiven.get(event.place, 0) + 1
        self.held.pop(event.place, None)

    def _done(self, event: ev.StepDone, at: float) -> None:
        self._trace(event.place, event.name)
        self._settle(event.place, event, at)
        self._acted(event.place, event.mail)
        self.steps += 1
        self.tokens += event.tokens
        self.usd += event.usd

    def _failed(self, event: ev.StepFailedEvent, at: float) -> None:
        self._trace(event.place, event.name)
        self._settle(event.place, event, at)
        self._acted(event.place, event.mail)
        self.steps += 1

    def _abandoned(self, event: ev.StepAbandoned, at: float) -> None:
        self._trace(event.place, event.name)
        self.abandoned.add(event.place)
        if event.place not in self.intents:
            self.held.pop(event.place, None)
        self.mail.discard(self.consumed.pop(event.place, 0))  # a signal that nobody got is there for the next wait

    def _drifted(self, event: ev.StepDrifted, at: float) -> None:
        self.drifts.add((event.place, event.now))

    def _timer(self, event: ev.TimerSet, at: float) -> None:
        self._trace(event.place, "sleep")
        self.timers[event.place] = event.fire_at

    def _fired(self, event: ev.TimerFired, at: float) -> None:
        self._settle(event.place, event, at)
        self.steps += 1

    def _awaited(self, event: ev.SignalAwaited, at: float) -> None:
        self._trace(event.place, f"signal:{event.name}")
        self.awaited[event.place] = event

    def _consumed(self, event: ev.SignalConsumed, at: float) -> None:
        self._trace(event.place, f"signal:{event.name}")
        self.mail.add(event.mail)
        self.consumed[event.place] = event.mail
        self._settle(event.place, event, at)
        self.steps += 1

    def _child(self, event: ev.ChildStarted, at: float) -> None:
        self._trace(event.place, event.name)
        self.children[event.place] = event

    def _timed_out(self, event: ev.SignalTimedOut, at: float) -> None:
        self._trace(event.place, f"signal:{event.name}")
        self._settle(event.place, event, at)
        self.steps += 1

    def _version(self, event: ev.VersionMarked, at: float) -> None:
        self.versions[f"{event.place}:{event.name}"] = event.version

    _fold: ClassVar[dict[type[Any], Callable[..., None]]] = {
        ev.RunCreated: _created,
        ev.RunClaimed: _claimed,
        ev.RunTrial: _nothing,
        ev.RunParked: _nothing,
        ev.RunReleased: _released,
        ev.RunHeld: _held,
        ev.RunQuarantined: _quarantined,
        ev.RunRedriven: _redriven,
        ev.RunLost: _lost,
        ev.RunCancelling: _cancelling,
        ev.RunCompleted: _ended,
        ev.RunFailed: _ended,
        ev.RunCancelledEvent: _ended,
        ev.RunContinuing: _continuing,
        ev.RunContinued: _ended,
        ev.StepIntended: _intended,
        ev.StepRetried: _retried,
        ev.StepDoubted: _doubted,
        ev.StepCleared: _cleared,
        ev.StepDone: _done,
        ev.StepFailedEvent: _failed,
        ev.StepAbandoned: _abandoned,
        ev.StepDrifted: _drifted,
        ev.TimerSet: _timer,
        ev.TimerFired: _fired,
        ev.SignalAwaited: _awaited,
        ev.SignalConsumed: _consumed,
        ev.SignalTimedOut: _timed_out,
        ev.ChildStarted: _child,
        ev.VersionMarked: _version,
    }
